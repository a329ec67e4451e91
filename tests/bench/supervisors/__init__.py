"""daq and those that would be taken instead of it, with the same programs and the same questions asked of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from tests.bench.stamps import Stamps

FIRST_VALUE = 0


class Supervisor(ABC):
    """Runs a stamping program for each name, beginning with the value 0. ``start`` returns when all have begun."""

    title: ClassVar[str]
    """Its name, and how it is told of an edit."""

    @abstractmethod
    def __init__(self, root: Path, stamps: Stamps, names: list[str]) -> None: ...

    @abstractmethod
    def start(self) -> None:
        """Begin from nothing."""

    @abstractmethod
    def edit(self, name: str, value: int) -> None:
        """Give a program another value, as a user would do it. May return before it is so."""

    @abstractmethod
    def die_and_return(self) -> None:
        """SIGKILL, then another one on the same files. Returns when it is at work."""

    @property
    @abstractmethod
    def pid(self) -> int:
        """Its own process."""

    @abstractmethod
    def close(self) -> None:
        """End it and all that it started."""

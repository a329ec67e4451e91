"""A bare repository of ours that follows one branch of another: what it has fetched nobody can take away."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from reconciler.desired.commit import Entry
from reconciler.gitsource.commands import Git, GitError, GitRefusedError
from reconciler.gitsource.remote import Remote

logger = logging.getLogger("daq.git")

FETCHED = "refs/daq/fetched"
APPLIED = "refs/daq/applied"
"""Holds the revision in force: neither gc nor a rewritten branch removes its objects."""

FETCH_S = 120.0
_SLOWEST = {"http.lowSpeedLimit": "1", "http.lowSpeedTime": "60", "fetch.recurseSubmodules": "false"}


class Repository:
    """Commits of a repository on this machine, read from its objects; a work tree is never looked at."""

    def __init__(self, git: Git) -> None:
        self.git = git

    def revision(self, ref: str) -> str:
        """The commit that a name stands for, in full. Raises GitError."""
        if ref.startswith("-"):
            raise GitError(f"cannot find the commit {ref!r}")
        return self.git.text(
            "rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}", to=f"find the commit {ref}"
        )

    def descends(self, revision: str, ancestor: str) -> bool:
        """Whether `ancestor` is in the history of `revision`. Raises GitError."""
        base = self.git.text(
            "rev-list",
            "-n",
            "1",
            ancestor,
            f"^{revision}",
            to=f"compare {revision[:12]} with {ancestor[:12]}",
        )
        return not base

    def verify(self, revision: str, signers: Path) -> None:
        """Raises GitError unless the commit bears an SSH signature of somebody in `signers`."""
        known = {"gpg.ssh.allowedSignersFile": str(signers.absolute()), "gpg.minTrustLevel": "fully"}
        others = {f"gpg.{kind}program": "false" for kind in ("", "openpgp.", "x509.")}
        to = f"verify the signature of {revision[:12]}"
        try:
            self.git.run("verify-commit", revision, to=to, given=known | others)
        except GitError as error:
            raise GitError(f"cannot {to} with {signers}: not signed by anybody in it ({error})") from error

    def entries(self, revision: str) -> dict[str, Entry]:
        """Every file of a commit by path. Raises GitError."""
        listing = self.git.run(
            "ls-tree", "-r", "-z", "--full-tree", revision, to=f"list the files of {revision[:12]}"
        )
        found = {}
        for line in listing.decode(errors="surrogateescape").split("\0")[:-1]:
            head, _, path = line.partition("\t")
            mode, _, oid = head.split(" ")
            if not {"", ".", "..", ".git"}.isdisjoint(path.split("/")):
                raise GitError(f"cannot use the commit {revision[:12]}: {path!r} is no path of a file")
            found[path] = Entry(mode, oid)
        return found

    def blobs(self, oids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Object ids and contents, one at a time. Raises GitError."""
        with tempfile.TemporaryFile() as wanted, tempfile.TemporaryFile() as found:
            wanted.write("".join(f"{oid}\n" for oid in dict.fromkeys(oids)).encode())
            wanted.seek(0)
            self.git.run("cat-file", "--batch", to="read files of a commit", stdin=wanted, stdout=found)
            found.seek(0)
            while header := found.readline().decode().split():
                if len(header) != 3 or header[1] != "blob":
                    raise GitError(f"cannot read files of a commit: {header[0]} is {header[-1]}")
                yield header[0], found.read(int(header[2]))
                found.read(1)

    def kept(self) -> str | None:
        """The commit that :meth:`Mirror.keep` was last told. Raises GitError."""
        refs = self.git.text("for-each-ref", "--format=%(objectname)", APPLIED, to="find what is applied")
        if not refs and (self.git.directory / APPLIED).exists():
            raise GitRefusedError(f"cannot find what is applied: {APPLIED} names no commit")
        return self.revision(refs) if refs else None

    def blob(self, oid: str) -> bytes:
        """Contents of one object. Raises GitError."""
        return next(self.blobs([oid]))[1]


class Mirror(Repository):
    """The bare repository at `git.directory`, made where it does not exist; raises GitError or OSError.

    With `objects`, another repository's objects are used and only what is new is fetched here.
    """

    def __init__(self, git: Git, remote: Remote, objects: Path | None = None) -> None:
        super().__init__(git)
        self.remote = remote
        if not git.directory.exists():
            self._make()
        if objects and objects.exists():
            (git.directory / "objects" / "info" / "alternates").write_text(f"{objects}\n")

    def _make(self) -> None:
        """Whole or not at all: git may be killed while it makes one."""
        directory = self.git.directory
        new = directory.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700, parents=True)
        self.git.run("init", "--quiet", "--bare", str(new), to=f"make a mirror in {directory}", directory=new)
        new.rename(directory)

    @classmethod
    def resumed(cls, git: Git, remote: Remote) -> tuple[Mirror, str | None]:
        """Our own, whatever a killed git left in it, and the commit in force. One that is damaged is set aside.

        Raises GitError or OSError.
        """
        for lock in git.directory.rglob("*.lock"):
            lock.unlink(missing_ok=True)
        try:
            mirror = cls(git, remote)
            return mirror, mirror.kept()
        except GitRefusedError as error:
            broken = git.directory.with_suffix(".broken")
            logger.error("cannot use the mirror %s, set aside as %s: %s", git.directory, broken.name, error)
        shutil.rmtree(broken, ignore_errors=True)
        git.directory.rename(broken)
        return cls(git, remote), None

    def fetch(self) -> str:
        """Fetch the branch; returns its commit. Raises GitError."""
        remote = self.remote
        url = str(remote.local or remote.url)
        self.git.run(
            "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "daq",
            f"+refs/heads/{remote.branch}:{FETCHED}",
            to=f"fetch the branch {remote.branch}",
            deadline_s=FETCH_S,
            given={"remote.daq.url": url, "gc.autoDetach": "false", "maintenance.autoDetach": "false", **_SLOWEST},
        )  # fmt: skip
        return self.revision(FETCHED)

    def keep(self, revision: str) -> None:
        """Remember that this commit is in force. Raises GitError."""
        self.git.run("update-ref", APPLIED, revision, to=f"remember that {revision[:12]} is applied")

"""Manifests: from files to values, with a line and a column for everything that is wrong."""

from reconciler.desired.check import check, check_new, open_passwords, shared_addresses
from reconciler.desired.reader import DirectoryReader

__all__ = ["DirectoryReader", "check", "check_new", "open_passwords", "shared_addresses"]

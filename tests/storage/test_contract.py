"""Every storage keeps the contract."""

from __future__ import annotations

from tests.contracts.storage import LastingContract, StorageContract


class TestStorage(StorageContract):
    """Every storage of the list."""


class TestLastingStorage(LastingContract):
    """Every storage of the list whose keys outlive the process."""

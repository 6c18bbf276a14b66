"""Every storage keeps the contract."""

from __future__ import annotations

import pytest

from app.testing.storage import LastingContract, StorageContract

pytestmark = pytest.mark.timeout(900)


class TestStorage(StorageContract):
    """Every storage of the list."""


class TestLastingStorage(LastingContract):
    """Every storage of the list whose keys outlive the process."""

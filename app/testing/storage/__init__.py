"""The contract of app.storage.base.Storage.

A backend's tests subclass StorageContract and provide a fixture ``storage``, empty at the
start of each test. A backend whose keys outlive the process subclasses LastingContract too,
with a fixture ``url`` of an empty storage and ``options`` of ``connect``; these are JSON, for
they are handed to other processes.
"""

from __future__ import annotations

from app.testing.storage.keys import ODD_KEYS, chunks, content, listed, put
from app.testing.storage.lasting import LastingContract
from app.testing.storage.reading import Reading
from app.testing.storage.removing import Removing
from app.testing.storage.scanning import Scanning
from app.testing.storage.writing import Writing

__all__ = [
    "ODD_KEYS",
    "LastingContract",
    "StorageContract",
    "chunks",
    "content",
    "listed",
    "put",
]


class StorageContract(Writing, Reading, Removing, Scanning):
    """What every storage promises."""

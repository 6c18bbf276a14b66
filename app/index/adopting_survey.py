"""What lies in a storage beside what this index wrote: listed twice, never held in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from app.index import adopting_names
from app.models import Stored
from app.storage.base import Storage


@dataclass(slots=True)
class Found:
    """How many keys are not ours, and how many bytes those of distributions have."""

    keys: int = 0
    size: int = 0


class Survey:
    """The keys below a prefix that this index did not write."""

    def __init__(self, storage: Storage, prefix: str = "") -> None:
        self._storage = storage
        self._prefix = prefix
        self._twice: set[str] = set()
        self.found = Found()

    async def count(self) -> Found:
        """Look at all keys; to be done before ``groups``."""
        # Hashes: a hundred bytes for each file are enough for any bucket.
        seen: set[int] = set()
        async for stored in self._strangers():
            self.found.keys += 1
            filename = _distribution(stored)
            if filename is not None:
                self.found.size += stored.size
                if hash(filename) in seen:
                    self._twice.add(filename)
                seen.add(hash(filename))
        return self.found

    async def groups(self) -> AsyncIterator[Sequence[Stored]]:
        """Every key, in order; then those that share a filename, together, the newest first."""
        shared: dict[str, list[Stored]] = {}
        async for stored in self._strangers():
            filename = _distribution(stored)
            if filename is not None and filename in self._twice:
                shared.setdefault(filename, []).append(stored)
            else:
                yield [stored]
        for filename in sorted(shared):
            yield sorted(shared[filename], key=lambda one: (-one.modified.timestamp(), one.key))

    async def _strangers(self) -> AsyncIterator[Stored]:
        async for stored in self._storage.scan(self._prefix):
            # Consoles make an empty object for a folder, with a slash at its end.
            placeholder = stored.key.endswith("/") and not stored.size
            if not placeholder and not adopting_names.is_ours(stored.key):
                yield stored


def _distribution(stored: Stored) -> str | None:
    """The filename, where it is that of a distribution."""
    filename = stored.key.rpartition("/")[2]
    return filename if adopting_names.kind_of(filename) else None

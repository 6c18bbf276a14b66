"""Indexes beside what PyPICloud left, and what an adoption makes of it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from app.index import Index
from app.index.adopt import Outcome
from app.index.blobs import once
from app.models import Actor
from app.storage.base import Storage
from app.upload.inspection import Inspectors
from tests.index.places import Place
from tests.pypicloud import Old

OPERATOR = Actor(kind="operator", id="root")

Listing = dict[str, tuple[str | None, int, Mapping[str, str]]]


async def put(
    storage: Storage, key: str, old: Old, metadata: Mapping[str, str] | None = None
) -> str:
    """Store an old file with its object metadata (as the storages hand it out); its key."""
    await storage.put(
        key,
        once(old.made.content),
        size=len(old.made.content),
        sha256=old.made.sha256,
        metadata=old.metadata("_") if metadata is None else metadata,
    )
    return key


async def adopt(index: Index, pool: Inspectors, prefix: str = "") -> dict[str, Outcome]:
    """Adopt everything; what became of each key."""
    with tempfile.TemporaryDirectory() as spool:
        adoption = await index.adopt(pool, spool=Path(spool), operator=OPERATOR, prefix=prefix)
        outcomes = {outcome.key: outcome async for outcome in adoption.run()}
        assert not list(Path(spool).iterdir())
    assert adoption.progress.keys == adoption.progress.found.keys
    assert adoption.progress.size == adoption.progress.found.size
    return outcomes


async def listing(place: Place, prefix: str = "") -> Listing:
    """All that the storage holds, so that any write shows."""
    found: Listing = {}
    async for stored in place.storage.scan(prefix):
        head = await place.storage.head(stored.key)
        assert head is not None
        found[stored.key] = (head.etag, head.size, head.metadata)
    return found


async def agrees(index: Index) -> bool:
    """Whether cache, journal and bytes agree, every byte compared."""
    findings = [str(finding) async for finding in index.check(deep=True).run()]
    assert findings == []
    return True

"""Markers of writes under way: what a crash leaves behind is found from them.

A marker is put before the first byte of a write and taken away after the last. It names
the event that the write means to add and, for an upload, the blob it brings. Whatever
happens in between, the marker tells the reconciler which chain to look at.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
from ulid import ULID

from app import errors
from app.storage.base import Storage, read

logger = logging.getLogger(__name__)

ROOT = "pending/"
LIFE = timedelta(hours=24)
"""How long after its beginning a write is believed dead."""
DEADLINE = timedelta(hours=12)
"""How long after its beginning a write may still commit: well before ``LIFE``."""


class Marker(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One write under way. ``filename`` is None for a change of the project itself."""

    id: str
    started: datetime
    project: str
    sequence: int
    filename: str | None = None
    blob: str | None = None

    @property
    def key(self) -> str:
        """Where the marker lies: one folder an hour."""
        return f"{ROOT}{self.started:%Y%m%dT%H}/{self.id}.json"

    def may_commit(self, now: datetime) -> bool:
        """False for a write so old that its bytes may be swept away at any moment."""
        return now - self.started < DEADLINE

    def is_dead(self, now: datetime) -> bool:
        """True when whoever began this write must have ended."""
        return now - self.started >= LIFE


def marker(project: str, filename: str | None, *, sequence: int, blob: str | None = None) -> Marker:
    """A new marker, not yet stored."""
    return Marker(
        id=str(ULID()),
        started=datetime.now(UTC),
        project=project,
        filename=filename,
        sequence=sequence,
        blob=blob,
    )


async def put(storage: Storage, marker: Marker) -> None:
    """Store the marker, durably."""
    await storage.create(marker.key, msgspec.json.encode(marker))


async def markers(storage: Storage) -> AsyncIterator[Marker]:
    """Every marker there is, oldest first; what is none, or not one of ours, is passed over."""
    async for stored in storage.scan(ROOT):
        if not stored.key.endswith(".json"):  # a project may be called so, and lie there of old
            continue
        try:
            record = await read(storage, stored.key, limit=1 << 16)
        except errors.KeyNotFound:  # its write ended meanwhile
            continue
        try:
            marker = msgspec.json.decode(record, type=Marker)
        except msgspec.MsgspecError as why:
            logger.error("%s cannot be read as a marker: %s", stored.key, why)
            continue
        yield marker

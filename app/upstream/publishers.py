"""Who published an upstream's files, as its provenance proves (PEP 740).

It is asked for where a rule needs it alone, once for each file, and kept with the page: the
publishers whose attestations hold for the bytes that the page names by their SHA-256.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from app import errors
from app.abreast import abreast
from app.upstream.client import Client
from app.upstream.entries import Entry, Record

LARGEST = 4 * 2**20
"""Bytes of the provenance of one file."""
AT_ONCE = 8

logger = logging.getLogger(__name__)

Needed = Callable[[Client, Record, Entry], bool]
"""Whether a rule asks who published a file."""


class Verify(Protocol):
    """Says who published a file, by its provenance: those of whom that is proved.

    Each like ``github:owner/repository``. Raises ValueError for what is no provenance.
    """

    async def __call__(self, content: bytes, *, filename: str, sha256: str) -> Sequence[str]: ...


def lacking(client: Client, record: Record, needed: Needed) -> bool:
    """Whether a rule asks for what nobody has looked at yet."""
    return any(
        entry.publishers is None and entry.provenance is not None and needed(client, record, entry)
        for entry in record.entries
    )


async def told(
    client: Client, record: Record, old: Record | None, needed: Needed, verify: Verify
) -> Record:
    """The record with the publishers of all files of which a rule asks for them.

    Of a file whose provenance proves nothing they are none, until the page is asked for again.
    """
    before = {entry.filename: entry for entry in old.entries} if old else {}
    entries = [_carried(entry, before.get(entry.filename)) for entry in record.entries]
    asked = [
        number
        for number, entry in enumerate(entries)
        if not entry.publishers and entry.provenance is not None and needed(client, record, entry)
    ]
    answers = abreast((_published(client, entries[number], verify) for number in asked), AT_ONCE)
    position = 0
    async for found in answers:
        entries[asked[position]] = msgspec.structs.replace(
            entries[asked[position]], publishers=found
        )
        position += 1
    return msgspec.structs.replace(record, entries=tuple(entries))


def _carried(entry: Entry, old: Entry | None) -> Entry:
    """What was found before holds for the same bytes and the same provenance."""
    if old is None or not old.publishers or entry.publishers:
        return entry
    same = old.provenance == entry.provenance and old.hashes == entry.hashes
    return msgspec.structs.replace(entry, publishers=old.publishers) if same else entry


async def _published(client: Client, entry: Entry, verify: Verify) -> tuple[str, ...]:
    if entry.sha256 is None:  # nothing says which bytes it would be about
        return ()
    accept = "application/vnd.pypi.integrity.v1+json, application/json;q=0.5"
    try:
        async with client.get(entry.provenance or "", accept=accept) as reply:
            if reply.status != 200:
                raise errors.Unreachable(f"it answers {reply.status} for provenance")
            content = await reply.body(limit=LARGEST)
        client.counts["bytes"] += len(content)
        return tuple(await verify(content, filename=entry.filename, sha256=entry.sha256))
    except (errors.Unreachable, ValueError) as wrong:
        logger.warning("the publisher of %s is not known: %s", entry.filename, wrong)
        return ()

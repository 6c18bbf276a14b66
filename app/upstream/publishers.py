"""Who published an upstream's files, as its provenance says (PEP 740).

It is asked for where a rule needs it alone, once for each file, and kept with the page. Whether
the attestations hold is for the upstream to have verified, and for the installer to verify.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from app import errors
from app.abreast import abreast
from app.upstream.client import Client
from app.upstream.entries import Entry, Record

LARGEST = 4 * 2**20
"""Bytes of the provenance of one file."""
AT_ONCE = 8
MOST = 16
"""Publishers of one file."""

logger = logging.getLogger(__name__)

Needed = Callable[[Client, Record, Entry], bool]
"""Whether a rule asks who published a file."""


class _Bundle(msgspec.Struct):
    publisher: Mapping[str, Any]


class _Provenance(msgspec.Struct):
    attestation_bundles: list[_Bundle]


def lacking(client: Client, record: Record, needed: Needed) -> bool:
    """Whether a rule asks for what nobody has looked at yet."""
    return any(
        entry.publishers is None and entry.provenance is not None and needed(client, record, entry)
        for entry in record.entries
    )


async def told(client: Client, record: Record, old: Record | None, needed: Needed) -> Record:
    """The record with the publishers of all files of which a rule asks for them.

    Of a file whose provenance cannot be read they are none, until the page is asked for again.
    """
    before = {entry.filename: entry for entry in old.entries} if old else {}
    entries = [_carried(entry, before.get(entry.filename)) for entry in record.entries]
    asked = [
        number
        for number, entry in enumerate(entries)
        if not entry.publishers and entry.provenance is not None and needed(client, record, entry)
    ]
    answers = abreast((_published(client, entries[number]) for number in asked), AT_ONCE)
    position = 0
    async for found in answers:
        entries[asked[position]] = msgspec.structs.replace(
            entries[asked[position]], publishers=found
        )
        position += 1
    return msgspec.structs.replace(record, entries=tuple(entries))


def read(content: bytes) -> tuple[str, ...]:
    """The publishers that provenance names, each like ``github:owner/repository``; ValueError."""
    bundles = msgspec.json.decode(content, type=_Provenance).attestation_bundles
    found = []
    for bundle in bundles[:MOST]:
        kind = bundle.publisher.get("kind")
        who = bundle.publisher.get("repository") or bundle.publisher.get("email")
        if isinstance(kind, str) and isinstance(who, str):
            found.append(f"{kind}:{who}".lower()[:500])
    return tuple(found)


def _carried(entry: Entry, old: Entry | None) -> Entry:
    """What was found before holds for the same bytes and the same provenance."""
    if old is None or not old.publishers or entry.publishers:
        return entry
    same = old.provenance == entry.provenance and old.hashes == entry.hashes
    return msgspec.structs.replace(entry, publishers=old.publishers) if same else entry


async def _published(client: Client, entry: Entry) -> tuple[str, ...]:
    accept = "application/vnd.pypi.integrity.v1+json, application/json;q=0.5"
    try:
        async with client.get(entry.provenance or "", accept=accept) as reply:
            if reply.status != 200:
                raise errors.Unreachable(f"it answers {reply.status} for provenance")
            content = await reply.body(limit=LARGEST)
        client.counts["bytes"] += len(content)
        return read(content)
    except (errors.Unreachable, ValueError) as wrong:
        logger.warning("the publisher of %s is not known: %s", entry.filename, wrong)
        return ()

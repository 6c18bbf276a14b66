"""What an upstream sends as a project's page → a Record. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from packaging.utils import NormalizedName

from app import errors, names
from app.simple import parse
from app.simple.negotiate import Format
from app.upstream import entries
from app.upstream.client import Client
from app.upstream.entries import Entry, Record

ACCEPT = ", ".join((Format.JSON, f"{Format.HTML};q=0.2", f"{Format.TEXT};q=0.01"))
CONFIRMED = timedelta(seconds=60)
"""For so long files that are gone from a page must be gone before that is believed."""
GONE = 10_000
"""Files of a project that are remembered though they are no longer listed: the last ones."""
LONGEST = 86_400.0
_MAX_AGE = re.compile(r"(?:\A|[,\s])max-age=(\d{1,10})", re.IGNORECASE)
_TYPES = {
    "application/vnd.pypi.simple.v1+json": Format.JSON,
    "application/json": Format.JSON,
    "application/vnd.pypi.simple.v1+html": Format.HTML,
    "text/html": Format.TEXT,
    "application/xhtml+xml": Format.TEXT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A page as it came."""

    url: str
    headers: Mapping[str, str]
    body: bytes


def record(client: Client, name: NormalizedName, sent: Sent, now: datetime) -> Record:
    """What the page says; broken and strange entries are left out and counted.

    Raises errors.Unreachable for what is no page of this project.
    """
    format = _format(client, sent.headers)
    try:
        listing, dropped = parse.tolerant(sent.body, format, url=sent.url)
    except ValueError as wrong:
        raise errors.Unreachable(f"Upstream {client.name!r}: {str(wrong)[:200]}") from None
    if format is Format.JSON and not _is(listing.name, name):
        raise errors.Unreachable(f"Upstream {client.name!r} answers with another project.")
    found: dict[str, Entry] = {}
    for link in listing.links:
        try:
            made = entries.entry(name, link)
        except ValueError:
            dropped += 1
            continue
        if not client.permits(made.url) or made.filename in found:
            dropped += 1
            continue
        found[made.filename] = made
    if format is not Format.JSON and not found and (dropped or b"pypi:" not in sent.body):
        # A page of a portal or a proxy, which says 200 to everything.
        raise errors.Unreachable(f"Upstream {client.name!r} answers with no page of an index.")
    return Record(
        v=entries.VERSION,
        upstream=client.name,
        name=name,
        asked=now,
        fresh_for=fresh_for(client, sent.headers),
        etag=_short(sent.headers.get("etag")),
        last_modified=_short(sent.headers.get("last-modified")),
        status=listing.status,
        status_reason=listing.status_reason,
        entries=tuple(found.values()),
        dropped=dropped,
    )


def listed(client: Client, headers: Mapping[str, str], body: bytes) -> tuple[str, ...]:
    """The names that a root lists, as they are spelled there; raises errors.Unreachable."""
    try:
        return parse.root(body, _format(client, headers))
    except ValueError as wrong:
        raise errors.Unreachable(f"Upstream {client.name!r}: {str(wrong)[:200]}") from None


def _format(client: Client, headers: Mapping[str, str]) -> Format:
    type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if (format := _TYPES.get(type)) is None:
        raise errors.Unreachable(f"Upstream {client.name!r} answers with {type[:80]!r}.")
    return format


def absent(client: Client, name: NormalizedName, now: datetime) -> Record:
    """That there is no such project."""
    seconds = client.options.absent.total_seconds()
    return Record(
        v=entries.VERSION, upstream=client.name, name=name, asked=now, fresh_for=seconds,
        absent=True,
    )  # fmt: skip


def fresh_for(client: Client, headers: Mapping[str, str]) -> float:
    """Seconds for which a page needs no question: ``max-age``, at most a day, or the setting."""
    said = _MAX_AGE.search(headers.get("cache-control", ""))
    usual = client.options.fresh.total_seconds()
    return usual if said is None else min(float(said[1]), LONGEST)


def merged(old: Record | None, new: Record, now: datetime) -> Record:
    """The new page in the light of the old one.

    Where a file has another hash now, its first one stays. Files that are missing, as after a
    restored backup, stay until they were missing for a while; one that comes back later is
    what it was before, or has changed.
    """
    if old is None:
        return new
    found = {entry.filename: entry for entry in new.entries}
    before = {entry.filename: entry for entry in (*old.gone, *old.entries)}
    changed = tuple(e.filename for e in before.values() if _differs(e, found.get(e.filename)))
    for filename in changed:
        found[filename] = _as_first_seen(before[filename], found[filename])
    for filename in found.keys() & before.keys():
        found[filename] = _no_older(before[filename], found[filename], now)
    missing = [entry for entry in old.entries if entry.filename not in found]
    since = None
    if missing:
        since = old.missing_since or now
        if now - since < CONFIRMED:
            found |= {entry.filename: entry for entry in missing}
        else:
            since = None
    return Record(
        v=new.v,
        upstream=new.upstream,
        name=new.name,
        asked=new.asked,
        fresh_for=min(new.fresh_for, CONFIRMED.total_seconds()) if since else new.fresh_for,
        absent=new.absent and not found,
        # Without a validator the whole page comes again, to be compared.
        etag=None if since else new.etag,
        last_modified=None if since else new.last_modified,
        status=old.status if new.absent else new.status,
        status_reason=old.status_reason if new.absent else new.status_reason,
        entries=tuple(found.values()),
        dropped=new.dropped,
        missing_since=since,
        changed=changed,
        gone=tuple(e for e in before.values() if e.filename not in found and e.hashes)[-GONE:],
    )


def _differs(old: Entry, new: Entry | None) -> bool:
    """Whether nothing says that these are the same bytes, or their core metadata is another."""
    if new is None or not old.hashes:
        return False
    return not _agree(old.hashes, new.hashes, silent=False) or not _agree(
        old.core_metadata or {}, new.core_metadata or {}, silent=True
    )


def _agree(old: Mapping[str, str], new: Mapping[str, str], *, silent: bool) -> bool:
    """Whether digests are of the same; ``silent`` where there are no two to compare."""
    common = old.keys() & new.keys()
    return all(old[kind] == new[kind] for kind in common) if common else silent


def _no_older(old: Entry, new: Entry, now: datetime) -> Entry:
    """A file does not age over night: the time that was said first stays, unless it was to come."""
    first, said = old.upload_time, new.upload_time
    if first is None or said is None or not said < first <= now:
        return new
    return msgspec.structs.replace(new, upload_time=first)


def _as_first_seen(old: Entry, new: Entry) -> Entry:
    """What the page says of it now, such as a yank; but the bytes are the first ones."""
    return msgspec.structs.replace(
        new,
        url=old.url,
        hashes=old.hashes,
        size=old.size,
        core_metadata=old.core_metadata,
        upload_time=old.upload_time,
        provenance=old.provenance,
        publishers=old.publishers,
    )


def _is(said: str, name: NormalizedName) -> bool:
    try:
        return names.normalize(said) == name
    except errors.InvalidName:
        return False


def _short(header: str | None) -> str | None:
    return (
        header
        if header and len(header) <= 500 and header.isascii() and header.isprintable()
        else None
    )

"""Answers about what upstreams have: pages, files on their way, and where else to ask."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from urllib.parse import quote

from fastapi import Response

from app import pages as rendered
from app.hot.offer import Offer
from app.models import Kind
from app.pages import Page, Pages, version_key
from app.routes import conditional, streaming
from app.routes.shown import Abroad
from app.simple import relay, render
from app.simple.negotiate import Coding, Format
from app.simple.relay import Line
from app.upstream.entries import Entry
from app.upstream.fetching import Fetch
from app.upstream.wanted import Wanted


async def page(
    pages: Pages,
    abroad: Abroad,
    format: Format,
    coding: Coding,
    *,
    integrity: str | None,
    paths: bool,
) -> Page:
    """The page of a project that an upstream has, alone or beside ours.

    ``paths``: whether URLs of files end in the path that they have there.
    """
    relayed, own = abroad.relayed, abroad.own
    name, first = relayed.name, relayed.first
    mine = version_key(own) if own is not None else ()
    key = ("relay", name, relayed.said, relayed.until, mine, format, coding, integrity, paths)
    serial = own.serial if own is not None else 0

    def build() -> Page:
        lines = [line(file, paths=paths) for file in relayed.files]
        status, reason = first.status, first.status_reason
        if own is not None:
            lines = relay.beside(own, lines, files=render.FILES, integrity=integrity)
            status, reason = own.status, own.status_reason
        body = relay.page(name, lines, format, status=status, reason=reason, serial=serial)
        return rendered.made(body, format, coding, serial)

    slow = len(relayed.files) + (len(own.files) if own else 0) > rendered.SLOW
    return await pages.remembered(key, build, slow=slow)


def line(file: Wanted, *, paths: bool) -> Line:
    """An upstream's file on a page of ours: its bytes and core metadata are asked of us."""
    entry = file.entry
    place = quote(entry.filename, safe="!")
    if paths and (path := file.path) is not None:
        place = f"at/{file.client.name}/{path}"
    offered = entry.core_metadata
    if offered is None and entry.kind is Kind.WHEEL:
        offered = {}  # made from the wheel when somebody asks
    provenance = entry.provenance
    secure = provenance is not None and provenance.startswith("https://")
    return Line(
        url=f"{render.FILES}{file.name}/{place}",
        filename=entry.filename,
        version=entry.version,
        yanked=entry.yanked,
        requires_python=entry.requires_python,
        hashes=entry.hashes,
        size=entry.size,
        core_metadata=offered,
        provenance=provenance if secure else None,
        upload_time=entry.upload_time,
    )


def hold(offer: Offer, abroad: Abroad) -> None:
    """Have the page given again while it is fresh, where everyone who reads gets the same."""
    if abroad.alike:
        left = (abroad.relayed.until - datetime.now(UTC)).total_seconds()
        offer.hold(until=time.monotonic() + left)


def sent_there(entry: Entry) -> Response:
    """To the upstream's own URL."""
    headers = {"Location": entry.url, "Cache-Control": "private, no-store"}
    return Response(status_code=302, headers=headers)


async def passing(fetch: Fetch, *, public: bool) -> Response:
    """A file while it comes; its first bytes are here before the status line goes out."""
    chunks = fetch.read()
    first = await anext(chunks, b"")
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
        "Content-Length": str(fetch.size),
        "X-Content-Type-Options": "nosniff",
        **conditional.cache_headers(conditional.FOREVER, public=public),
    }
    if (sha256 := fetch.wanted.entry.sha256) is not None:
        headers["ETag"] = f'"{sha256}"'
    return streaming.Streamed(first, chunks, status_code=200, headers=headers)

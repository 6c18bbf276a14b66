"""Rendered pages, remembered: a page is rendered once per change, not once per request."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from isal import igzip

from app import unbroken
from app.models import Project, ProjectSummary
from app.simple import render
from app.simple.negotiate import Coding, Format

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SLOW = 500
"""From so many lines on a page is rendered in a thread: it would hold up the event loop."""
WORTH_PACKING = 256
"""Bytes; a shorter page gains nothing from compression."""
GZIP_LEVEL = 2
"""Of ISA-L's: a ninth of the time that zlib takes at its level 6, for pages a tenth longer."""
ZSTD_LEVEL = 3
_OVERHEAD = 1024

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One representation, ready to be sent.

    ``etag`` is strong, quoted, and of this representation and coding alone; ``serial``
    that of the newest change it shows.
    """

    body: bytes
    etag: str
    content_type: str
    coding: Coding
    serial: int


class Pages:
    """Renders pages and keeps them, the least recently used ones going first.

    ``memory`` bounds what is kept, in bytes. Whoever asks brings the values: a page is
    never older than they are.
    """

    def __init__(self, *, memory: int = 256 * 2**20) -> None:
        self._memory = memory
        self._used = 0
        self.hits = self.rendered = 0
        """How many pages were taken from what is kept, and how many were made."""
        self._kept: OrderedDict[Key, Page] = OrderedDict()
        self._coming: dict[Key, asyncio.Task[Page]] = {}

    async def project(
        self,
        project: Project,
        format: Format,
        coding: Coding,
        *,
        files: str = render.FILES,
        integrity: str | None = None,
    ) -> Page:
        """The page of a project; ``files`` and ``integrity`` as in render.project."""
        key = (*version_key(project), format, coding, files, integrity)

        def build() -> Page:
            body = render.project(project, format, files=files, integrity=integrity)
            return made(body, format, coding, project.serial)

        return await self.remembered(key, build, slow=len(project.files) > SLOW)

    async def root(
        self, summaries: Sequence[ProjectSummary], format: Format, coding: Coding, *, serial: int
    ) -> Page:
        """The list of these projects; ``serial`` is that of the index when they were read."""
        slow = len(summaries) > SLOW
        digest = await asyncio.to_thread(_digest, summaries) if slow else _digest(summaries)
        key = ("", serial, digest, format, coding)

        def build() -> Page:
            body = render.root(summaries, format, serial=serial)
            return made(body, format, coding, serial)

        return await self.remembered(key, build, slow=slow)

    @property
    def used(self) -> int:
        """Bytes that are taken of the memory."""
        return self._used

    def kept(self, key: Key) -> Page | None:
        """The page that is kept under ``key``."""
        if (page := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
        return page

    async def remembered(self, key: Key, build: Callable[[], Page], *, slow: bool) -> Page:
        """The page kept under ``key``, else the one that ``build`` makes.

        Where it is ``slow``, it is built in a thread, once for all who wait for it.
        """
        if (page := self.kept(key)) is not None:
            self.hits += 1
            return page
        self.rendered += 1
        if not slow:
            return self._keep(key, build())
        if (task := self._coming.get(key)) is None:
            task = self._coming[key] = unbroken.begun(asyncio.to_thread(build))
            task.add_done_callback(lambda _: self._coming.pop(key, None))
        return self._keep(key, await asyncio.shield(task))

    def _keep(self, key: Key, page: Page) -> Page:
        size = len(page.body) + _OVERHEAD
        if key in self._kept or size > self._memory:
            return page
        self._kept[key] = page
        self._used += size
        while self._used > self._memory:
            _, dropped = self._kept.popitem(last=False)
            self._used -= len(dropped.body) + _OVERHEAD
        return page


def version_key(project: Project) -> Key:
    """What tells one state of a project from every other."""
    return (project.name, project.generation, project.serial, project.head, project.status)


def json_page(body: bytes, *, serial: int) -> Page:
    """A page of an API that knows one format and no coding."""
    return Page(
        body=body,
        etag=entity_tag(body, "application/json", Coding.IDENTITY),
        content_type="application/json",
        coding=Coding.IDENTITY,
        serial=serial,
    )


def entity_tag(body: bytes, content_type: str, coding: Coding) -> str:
    """A strong, quoted tag for the representation whose plain bytes are ``body``.

    Equal bytes under two media types or codings are two representations (RFC 9110,
    section 8.8.3), so both are part of it.
    """
    digest = hashlib.sha256(f"{content_type}\n".encode() + body).hexdigest()[:32]
    return f'"{digest}"' if coding is Coding.IDENTITY else f'"{digest}-{coding}"'


def made(body: bytes, format: Format, coding: Coding, serial: int) -> Page:
    """A page of the Simple API, packed where that gains anything."""
    if len(body) < WORTH_PACKING:
        coding = Coding.IDENTITY
    return Page(
        body=_packed(body, coding),
        etag=entity_tag(body, format, coding),
        content_type="text/html; charset=utf-8" if format is Format.TEXT else format.value,
        coding=coding,
        serial=serial,
    )


def _packed(body: bytes, coding: Coding) -> bytes:
    if coding is Coding.ZSTD:
        return zstd.compress(body, level=ZSTD_LEVEL)
    if coding is Coding.GZIP:
        # Without a time in it, so that all replicas make the same bytes.
        return igzip.compress(body, GZIP_LEVEL, mtime=0)
    return body


def _digest(summaries: Sequence[ProjectSummary]) -> bytes:
    digest = hashlib.sha256()
    for summary in summaries:
        digest.update(f"{summary.name} {summary.display_name} {summary.serial}\n".encode())
    return digest.digest()

"""``/files/``: distributions and their core metadata (PEP 658)."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from urllib.parse import quote

from fastapi import Request, Response

from app import errors, names
from app.answers import ErrorResponse
from app.dependencies import BaseUrlDep, DownloadsDep, IndexDep, OfferDep, SettingsDep
from app.downloads import counted_as
from app.hot.offer import Offer
from app.index import Index
from app.models import File
from app.routes import conditional, handing, relaying, streaming
from app.routes.counted import counted
from app.routes.ranges import Unsatisfiable, span
from app.routes.reading import Reader, ReaderDep, door, moved, project_name
from app.routes.router import Router
from app.routes.shown import Handed
from app.simple import render

router = Router(tags=["files"])

METADATA = ".metadata"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a URL of this door stands for; ``read`` gives the bytes from start to before end.

    ``whole`` is all of them, where they are few.
    """

    etag: str
    size: int
    public: bool
    read: Callable[[int, int], AsyncGenerator[bytes]]
    whole: bytes | None = None


@door(
    router,
    "/files/{project}/{filename}",
    summary="Download a file, or its core metadata",
    types=("application/octet-stream",),
    responses={
        206: "The part that was asked for.",
        301: "The project's normalised name.",
        302: "Where the storage hands the file out.",
        416: "The range lies beyond the end.",
    },
)
async def download(
    request: Request,
    project: str,
    filename: str,
    reader: ReaderDep,
    index: IndexDep,
    settings: SettingsDep,
    base: BaseUrlDep,
    offer: OfferDep,
    downloads: DownloadsDep,
) -> Response:
    """The bytes of a wheel or sdist; with ``.metadata`` at the end, its core metadata."""
    given = await _download(request, project, filename, reader, index, settings, base, offer)
    return counted(request, given, offer, downloads)


async def _download(
    request: Request,
    project: str,
    filename: str,
    reader: Reader,
    index: Index,
    settings: SettingsDep,
    base: str,
    offer: Offer,
) -> Response:
    name = project_name(project)
    wanted = filename.removesuffix(METADATA)
    if not names.is_filename(wanted):
        raise errors.FileNotFound(name, filename)
    try:
        file, public = await reader.file(name, wanted)
    except errors.FileNotFound:
        found = await _abroad(request, reader, base, offer, filename=filename, spelled=project)
        if isinstance(found, Response):
            return found
        # What a rule may take back tomorrow is decided each time: such answers are not offered.
        return await _file(request, index, Offer(since=0), settings, found)
    if name != project:
        return moved(request, base, f"/files/{render.path(file)}{filename[len(wanted) :]}")
    if wanted != filename:
        return await _metadata(request, index, offer, Handed(file, public))
    offer.download = (counted_as(name, file.generation), file.version)
    return await _file(request, index, offer, settings, Handed(file, public))


@door(router, "/files/{project}/at/{upstream}/{path:path}", described=False)
async def download_at(
    request: Request,
    project: str,
    upstream: str,
    path: str,
    reader: ReaderDep,
    index: IndexDep,
    settings: SettingsDep,
    base: BaseUrlDep,
    downloads: DownloadsDep,
) -> Response:
    """The same by a URL that ends in the path which an upstream has the file at.

    That is for clients alone: the project and the filename say which file it is, wherever its
    upstream has it by now.
    """
    filename = path.rpartition("/")[2]
    if not names.is_filename(filename):
        raise errors.FileNotFound(project_name(project), filename)
    offer = Offer(since=0)
    given = await _download(request, project, filename, reader, index, settings, base, offer)
    return counted(request, given, offer, downloads)


async def _abroad(
    request: Request, reader: Reader, base: str, offer: Offer, *, filename: str, spelled: str
) -> Response | Handed:
    """A file of an upstream: on its way, there, or kept here."""
    name, wanted = project_name(spelled), filename.removesuffix(METADATA)
    abroad, its = await reader.entry(name, wanted)
    if name != spelled:
        return moved(request, base, f"/files/{name}/{quote(filename, safe='!')}")
    public, upstreams = abroad.public and abroad.alike, reader.upstreams
    if wanted != filename:
        body = await upstreams.metadata(its)
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        if _has(request, etag):
            return _unchanged(etag, public)
        return await _send(request, _few(body, etag=etag, public=public))
    offer.download = (counted_as(name, ""), its.entry.version)
    kept = await upstreams.kept(its)
    if kept is None and (abroad.direct or its.client.direct):
        return relaying.sent_there(its.entry)
    if kept is None and request.method == "GET" and "range" not in request.headers:
        fetch = await upstreams.fetch(its)
        if isinstance(fetch, File):
            kept = fetch
        elif fetch.size is not None:
            return await relaying.passing(fetch, public=public)
    if kept is None:
        kept = await upstreams.whole(its)
    return Handed(kept, public)


async def _file(
    request: Request, index: Index, offer: Offer, settings: SettingsDep, handed: Handed
) -> Response:
    file, public = handed
    etag = f'"{file.hashes.sha256}"'
    if _has(request, etag):
        return _unchanged(etag, public)
    named = handing.handed(file.blob, delivery=settings.delivery, storage=settings.storage)
    if named is not None and request.method == "GET":
        offer.hold()
        kind = {"Content-Type": "application/octet-stream"}
        return Response(headers={**_validators(etag, public), **kind, **named})
    # HEAD is answered here: a presigned URL is good for GET alone. A range is for the storage
    # to answer: it is in the request that the client sends there.
    if request.method == "GET" and (url := await index.location(file)) is not None:
        offer.hold(until=index.location_until(file))
        headers = {"Location": url, "Cache-Control": "private, no-store"}
        return Response(status_code=302, headers=headers)

    def read(start: int, end: int) -> AsyncGenerator[bytes]:
        chunks, name = index.content(file, start=start, end=end), file.filename
        if (start, end) == (0, file.size):
            return streaming.whole(chunks, filename=name, size=file.size, sha256=file.hashes.sha256)
        return streaming.part(chunks, filename=name, size=end - start)

    return await _send(request, Content(etag=etag, size=file.size, public=public, read=read))


async def _metadata(request: Request, index: Index, offer: Offer, handed: Handed) -> Response:
    file, public = handed
    if not file.offers_metadata:
        raise errors.FileNotFound(file.project, f"{file.filename}{METADATA}")
    etag = f'"{file.metadata_sha256}"'
    if _has(request, etag):
        return _unchanged(etag, public)
    body = await index.metadata(file)
    await streaming.check(body, filename=f"{file.filename}{METADATA}", sha256=file.metadata_sha256)
    offer.hold()

    return await _send(request, _few(body, etag=etag, public=public))


def _few(body: bytes, *, etag: str, public: bool) -> Content:
    async def read(start: int, end: int) -> AsyncGenerator[bytes]:
        yield body[start:end]

    return Content(etag=etag, size=len(body), public=public, read=read, whole=body)


async def _send(request: Request, content: Content) -> Response:
    """200, 206 or 416. The first chunk is here before the status line goes out."""
    part = None
    # RFC 9110, section 14.2: a range is for GET alone.
    if request.method == "GET" and conditional.range_holds(
        request.headers.get("if-range"), content.etag
    ):
        try:
            part = span(request.headers.get("range"), content.size)
        except Unsatisfiable:
            return _unsatisfiable(content.size)
    start, end = part or (0, content.size)
    headers = {
        **_validators(content.etag, content.public),
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
        "Content-Length": str(end - start),
    }
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{content.size}"
    if request.method == "HEAD":
        return Response(headers=headers)
    if part is None and content.whole is not None:
        return Response(content.whole, headers=headers)
    chunks = content.read(start, end)
    first = await anext(chunks, b"")
    status = 200 if part is None else 206
    return streaming.Streamed(first, chunks, status_code=status, headers=headers)


def _has(request: Request, etag: str) -> bool:
    return conditional.not_modified(request.headers.getlist("if-none-match"), etag)


def _validators(etag: str, public: bool) -> dict[str, str]:
    return {
        "ETag": etag,
        "X-Content-Type-Options": "nosniff",
        **conditional.cache_headers(conditional.FOREVER, public=public),
    }


def _unchanged(etag: str, public: bool) -> Response:
    return Response(status_code=304, headers=_validators(etag, public))


def _unsatisfiable(size: int) -> Response:
    message = f"The range lies beyond the {size} bytes that there are."
    return ErrorResponse(416, message, {"Content-Range": f"bytes */{size}"})

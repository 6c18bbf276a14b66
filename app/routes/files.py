"""``/files/``: distributions and their core metadata (PEP 658)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from app import errors, names
from app.answers import ErrorResponse
from app.dependencies import BaseUrlDep, IndexDep
from app.index import Index
from app.models import File
from app.routes import conditional, streaming
from app.routes.ranges import Unsatisfiable, span
from app.routes.reading import ReaderDep, door, moved, project_name
from app.simple import render

router = APIRouter(tags=["files"])

METADATA = ".metadata"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a URL of this door stands for; ``read`` gives the bytes from start to before end."""

    etag: str
    size: int
    public: bool
    read: Callable[[int, int], AsyncGenerator[bytes]]


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
    base: BaseUrlDep,
) -> Response:
    """The bytes of a wheel or sdist; with ``.metadata`` at the end, its core metadata."""
    name = project_name(project)
    wanted = filename.removesuffix(METADATA)
    if not names.is_filename(wanted):
        raise errors.FileNotFound(name, filename)
    file, public = await reader.file(name, wanted)
    if name != project:
        return moved(request, base, f"/files/{render.path(file)}{filename[len(wanted) :]}")
    if wanted != filename:
        return await _metadata(request, index, file, public)
    return await _file(request, index, file, public)


async def _file(request: Request, index: Index, file: File, public: bool) -> Response:
    etag = f'"{file.hashes.sha256}"'
    if _has(request, etag):
        return _unchanged(etag, public)
    # HEAD is answered here: a presigned URL is good for GET alone. A range is for the storage
    # to answer: it is in the request that the client sends there.
    if request.method == "GET" and (url := await index.location(file)) is not None:
        headers = {"Location": url, "Cache-Control": "private, no-store"}
        return Response(status_code=302, headers=headers)

    def read(start: int, end: int) -> AsyncGenerator[bytes]:
        chunks, name = index.content(file, start=start, end=end), file.filename
        if (start, end) == (0, file.size):
            return streaming.whole(chunks, filename=name, size=file.size, sha256=file.hashes.sha256)
        return streaming.part(chunks, filename=name, size=end - start)

    return await _send(request, Content(etag=etag, size=file.size, public=public, read=read))


async def _metadata(request: Request, index: Index, file: File, public: bool) -> Response:
    if not file.offers_metadata:
        raise errors.FileNotFound(file.project, f"{file.filename}{METADATA}")
    etag = f'"{file.metadata_sha256}"'
    if _has(request, etag):
        return _unchanged(etag, public)
    body = await index.metadata(file)
    await streaming.check(body, filename=f"{file.filename}{METADATA}", sha256=file.metadata_sha256)

    async def read(start: int, end: int) -> AsyncGenerator[bytes]:
        yield body[start:end]

    return await _send(request, Content(etag=etag, size=len(body), public=public, read=read))


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

"""The upload form on the wire: multipart/form-data, read strictly and as a stream.

Parsing, hashing and writing happen in threads, a batch at a time, so that the event loop
is never blocked and memory does not grow with the file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.unbroken import begun
from app.upload import parameters
from app.upload.reader import Reader
from app.upload.spool import Spooled

FORM_LIMIT = 32 * 2**20
"""Bytes of all fields but the file (UPL-9: descriptions above 1 MiB are real)."""
_EARLY_BATCH = 64 * 2**10
_BATCH = 2**20

Fields = Mapping[str, tuple[str, ...]]
"""The values of each field, in the order in which they came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a client sent, unbelieved. ``content`` is None where the form had no file."""

    fields: Fields
    content: Spooled | None


@asynccontextmanager
async def receive(
    chunks: AsyncIterator[bytes],
    *,
    content_type: str,
    spool: Path,
    max_file_size: int,
    max_form_size: int = FORM_LIMIT,
    on_fields: Callable[[Fields], Awaitable[object]] | None = None,
) -> AsyncIterator[Form]:
    """Read a whole form; its file lies in the directory ``spool`` until the context is left.

    ``on_fields`` is awaited once, with the fields that came before the file, when the file
    begins and none of its bytes has been written; what it raises ends the reading. A form
    that is refused is refused as soon as that is known, with the rest of ``chunks`` unread.
    Nothing stays in ``spool`` after the context, however it is left.

    Raises errors.InvalidUpload, errors.TooLarge and errors.StorageUnavailable.
    """
    reader = Reader(
        parameters.boundary(content_type),
        spool=spool,
        max_file_size=max_file_size,
        max_form_size=max_form_size,
    )
    try:
        async with aclosing(_batches(chunks, reader)) as batches:
            fed: asyncio.Future[bool] | None = None
            async for batch in batches:
                if fed is not None:
                    await fed
                    fed = None
                if reader.in_content:
                    # While the next bytes come.
                    fed = begun(asyncio.to_thread(reader.feed, batch))
                elif await asyncio.to_thread(reader.feed, batch):
                    if on_fields is not None:
                        await on_fields(reader.fields())
                    await asyncio.to_thread(reader.resume)
            if fed is not None:
                await fed
        content = await asyncio.to_thread(reader.finish)
        yield Form(fields=reader.fields(), content=content)
    finally:
        # Shielded, since a cancelled upload must not leave its file behind.
        await asyncio.shield(asyncio.to_thread(reader.discard))


async def _batches(chunks: AsyncIterator[bytes], reader: Reader) -> AsyncGenerator[bytes, None]:
    """Join chunks, so that a thread has enough to do; before the file, in smaller portions."""
    held: list[bytes] = []
    size = 0
    async for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= (_BATCH if reader.in_content else _EARLY_BATCH):
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)

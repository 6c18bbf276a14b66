"""A process that receives one large form, and prints how much its memory grew (KiB)."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from app.upload.form import receive
from tests.upload import bodies

CHUNK = 64 * 2**10


async def generate(size: int) -> AsyncIterator[bytes]:
    """A form whose file has ``size`` bytes, made on the way."""
    head, _, tail = bodies.uv(
        [("name", "demo")], "demo-1.0-py3-none-any.whl", b"CONTENT"
    ).partition(b"CONTENT")
    yield head
    chunk = bytes(range(256)) * (CHUNK // 256)
    for _ in range(size // CHUNK):
        yield chunk
    yield tail


async def main(spool: Path, megabytes: int) -> None:
    """Receive a small form to warm up, then the large one."""
    for size in (2**20, megabytes * 2**20):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        async with receive(
            generate(size),
            content_type=bodies.CONTENT_TYPE,
            spool=spool,
            max_file_size=2**40,
        ) as form:
            if form.content is None or form.content.size != size:
                raise SystemExit("the file is not whole")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))

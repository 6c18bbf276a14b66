"""A process that takes steps on a storage in a folder, to be watched, disturbed or killed.

Arguments: the folder, the options as JSON, then a word and a key for each step, as in
``create:a/b``. Each step answers with a line; ``half`` puts the first part of a key and
then waits for ever. ``keep`` puts a file that is whole already, which lies beside the
folder for so long. ``foreign`` makes a folder anew as a stranger would, flushing nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

from app import errors
from app.storage.base import Storage
from app.storage.file import connect
from app.storage.whole import WholeFile

PART = b"x" * 2**20
WHOLE = 2 * PART


def answer(line: object) -> None:
    """Print a line, by another system call than the storage writes with."""
    os.writev(1, [f"{line}\n".encode()])


async def parts(*, forever: bool = False) -> AsyncIterator[bytes]:
    """Two parts of a megabyte; or one, and then nothing for ever."""
    yield PART
    if forever:
        answer("half")
        await asyncio.Event().wait()
    yield PART


async def take(step: str, key: str, storage: Storage, folder: str) -> object:
    """One step; what it answered."""
    if step == "create":
        return await storage.create(key, WHOLE)
    if step == "delete":
        await storage.delete(key)
    elif step == "foreign":
        shutil.rmtree(Path(folder, key), ignore_errors=True)
        Path(folder, key).mkdir(parents=True)
    elif step == "keep":
        await keep(storage, key, Path(f"{folder}.source"))
    else:
        sha256 = hashlib.sha256(WHOLE).hexdigest()
        content = parts(forever=step == "half")
        await storage.put(key, content, size=len(WHOLE), sha256=sha256)
    return "done"


async def keep(storage: Storage, key: str, source: Path) -> None:
    """Put a whole file, which is gone afterwards."""
    source.write_bytes(WHOLE)
    sha256 = hashlib.sha256(WHOLE).hexdigest()
    try:
        async with aclosing(WholeFile(source)) as whole:
            await storage.put(key, whole, size=len(WHOLE), sha256=sha256)
    finally:
        source.unlink()


async def take_all(folder: str, options: str, *steps: str) -> None:
    """Every step in turn; a failure is its answer."""
    async with connect(f"file:{folder}", json.loads(options)) as storage:
        for step in steps:
            word, _, key = step.partition(":")
            try:
                answer(await take(word, key, storage, folder))
            except errors.StorageUnavailable as error:
                answer(error)


if __name__ == "__main__":
    try:
        asyncio.run(take_all(*sys.argv[1:]))
    except errors.Misconfigured as error:
        sys.exit(str(error))

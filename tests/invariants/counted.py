"""A storage in a folder, as a plug-in: it logs which events are read, one after the other.

``counted:FOLDER``; each process writes ``reads-PID`` beside the folder. Reading an event
takes PAUSE seconds, and the cursor of a reindex moves on every few files. Nobody comes past the
project that the file ``gate`` beside the folder names, as long as there is one: whoever is
to be stopped amid a reindex is still amid it then, however slow the rest is.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from app.index import reindex
from app.storage import file

PAUSE = 0.02
PLUGIN = "[pypicloud.storage]\ncounted = tests.invariants.counted:connect\n"


def install(folder: Path) -> Path:
    """What makes the plug-in known to a process that has this folder in its path."""
    about = folder / "counted-1.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: counted\nVersion: 1\n")
    (about / "entry_points.txt").write_text(PLUGIN)
    return folder


def shut(folder: Path, name: str) -> Path:
    """Let no process read the events of this project; to be removed."""
    gate = folder / "gate"
    half = folder / "gate.half"
    half.write_text(name)
    return half.rename(gate)


def reads(folder: Path) -> dict[int, list[str]]:
    """Which events every process read, by its id."""
    return {
        int(path.name.removeprefix("reads-")): path.read_text().splitlines()
        for path in folder.glob("reads-*")
    }


class Counted:
    """The folder's storage but for ``get``."""

    def __init__(self, inner: Any, log: Path) -> None:
        self._inner = inner
        self._log = log
        self._turn = asyncio.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def get(self, key: str, **part: Any) -> AsyncIterator[bytes]:
        """The bytes, and a line in the log."""
        if key.startswith("journal/"):
            async with self._turn:
                await asyncio.sleep(PAUSE)
                while self._is_shut(key):
                    await asyncio.sleep(PAUSE)
                with self._log.open("a") as log:
                    log.write(f"{key}\n")
        async for chunk in self._inner.get(key, **part):
            yield chunk

    def _is_shut(self, key: str) -> bool:
        with suppress(FileNotFoundError):
            return key.split("/")[1] == (self._log.parent / "gate").read_text()
        return False


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[Counted]:
    """The storage in ``counted:FOLDER``."""
    reindex.BATCH, reindex.READERS = 5, 5
    folder = Path(url.removeprefix("counted:"))
    async with file.connect(f"file:{folder}", options) as inner:
        yield Counted(inner, folder.parent / f"reads-{os.getpid()}")

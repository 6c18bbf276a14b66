"""Adding up what the workers of one service count, whichever of them is asked.

Each writes its numbers into a file of the directory that they share, every now and then and
whenever it is asked itself; so no count that somebody saw ever goes back. What a worker that
ended counted goes on counting.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from app.metrics import Meters, Snapshot

EVERY = 1.0
"""Seconds between two writings."""


class Shared:
    """The numbers of this process and, where there is a directory, of those beside it."""

    def __init__(self, meters: Meters, directory: Path | None) -> None:
        self._meters = meters
        self._file = None if directory is None else directory / _name()

    async def collect(self) -> Snapshot:
        """All numbers as of now, of other workers as of a second ago or later."""
        mine = self._meters.snapshot()
        if self._file is None:
            return mine
        return await asyncio.to_thread(_collect, self._file, mine)

    async def write(self) -> None:
        """Let the others know."""
        if self._file is not None:
            await asyncio.to_thread(_write, self._file, self._meters.snapshot())


@asynccontextmanager
async def sharing(shared: Shared, *, every: float = EVERY) -> AsyncIterator[None]:
    """Write while the block runs, and once more at its end."""
    task = asyncio.create_task(_keep_writing(shared, every))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with suppress(OSError):  # whoever made the directory may be gone with it
            await shared.write()


async def _keep_writing(shared: Shared, every: float) -> None:
    while True:
        with suppress(OSError):  # a disk that is full hides numbers, and stops nothing
            await shared.write()
        await asyncio.sleep(every)


def _name() -> str:
    return f"{os.getpid()}.{secrets.token_hex(4)}.json"


def _write(file: Path, snapshot: Snapshot) -> None:
    document = {
        "numbers": [[*key, value] for key, value in snapshot.numbers.items()],
        "timings": [[*key, *value] for key, value in snapshot.timings.items()],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(f".{secrets.token_hex(4)}.part")
    half.write_text(json.dumps(document))
    half.replace(file)


def _collect(file: Path, mine: Snapshot) -> Snapshot:
    _write(file, mine)
    for other in sorted(file.parent.glob("*.json")):
        if other != file:
            mine.add(_read(other), alive=_lives(int(other.name.partition(".")[0])))
    return mine


def _read(file: Path) -> Snapshot:
    document = json.loads(file.read_text())
    numbers = {(name, tuple(labels)): value for name, labels, value in document["numbers"]}
    timings = {
        (name, tuple(labels)): (counts, total)
        for name, labels, counts, total in document["timings"]
    }
    return Snapshot(numbers, timings)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

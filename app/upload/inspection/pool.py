"""The warm pool: a few children, a bounded queue before them, and a new one for each that dies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from app import errors
from app.models import Kind
from app.upload.archives.limits import Limits
from app.upload.inspection.answers import Inspection
from app.upload.inspection.child import Child, Died, Request
from app.upload.profile import Profile

LIMITS: Mapping[Profile, Limits] = {
    "strict": Limits(),
    "import": Limits(members=100_000, pax=1 << 20),
}
ATTEMPTS = 2
START_PAUSE = 1.0
log = logging.getLogger(__name__)


class Inspectors:
    """The open pool; made by ``inspectors``."""

    def __init__(
        self,
        *,
        queue: int,
        memory: int,
        cpu: float,
        cpu_per_mib: float,
        grace: float,
        limits: Mapping[Profile, Limits],
    ) -> None:
        self._idle: asyncio.LifoQueue[Child] = asyncio.LifoQueue()
        self._children: set[Child] = set()
        self._replacements: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._closed = False
        self._queue = queue
        self._memory = memory
        self._cpu = cpu
        self._cpu_per_mib = cpu_per_mib
        self._grace = grace
        self._limits = limits

    @property
    def pids(self) -> frozenset[int]:
        """The processes of the children."""
        return frozenset(child.pid for child in self._children)

    @property
    def size(self) -> int:
        """How many children there are."""
        return len(self._children)

    @property
    def busy(self) -> int:
        """How many of them look into something."""
        return max(0, len(self._children) - self._idle.qsize())

    @property
    def waiting(self) -> int:
        """How many files wait for a child."""
        return self._waiting

    async def inspect(
        self, path: Path, *, filename: str, kind: Kind, profile: Profile
    ) -> Inspection:
        """What the spooled file at ``path`` holds, being called ``filename``.

        Raises errors.InvalidUpload with one line for whatever is wrong with the archive, the
        time and memory that it takes included, and errors.Busy when too many wait already.
        """
        absolute, size = await asyncio.to_thread(_measure, path)
        cpu = self._cpu + self._cpu_per_mib * size / (1 << 20)
        request = Request(
            path=absolute,
            filename=filename,
            kind=kind.value,
            strict=profile == "strict",
            cpu=cpu,
            limits=self._limits[profile].to_dict(),
        )
        for _ in range(ATTEMPTS):
            child = await self._take()
            try:
                return await child.ask(request, self._grace + 5 * cpu)
            except Died:
                log.warning("a child died while it inspected %s", filename)
            finally:
                self._give_back(child)
        raise errors.InvalidUpload(
            "Invalid distribution file. The process that read it died, more than once."
        )

    async def _take(self) -> Child:
        if self._idle.empty() and self._waiting >= self._queue:
            raise errors.Busy("Too many uploads are being checked; try again in a moment.")
        while True:
            self._waiting += 1
            try:
                child = await self._idle.get()
            finally:
                self._waiting -= 1
            if child.usable:
                return child
            self._give_back(child)

    def _give_back(self, child: Child) -> None:
        if child.usable:
            self._idle.put_nowait(child)
            return
        self._children.discard(child)
        task = asyncio.create_task(self._replace(child))
        self._replacements.add(task)
        task.add_done_callback(self._replacements.discard)

    async def _replace(self, child: Child) -> None:
        await child.close()
        while not self._closed:
            if await self.add():
                return
            await asyncio.sleep(START_PAUSE)

    async def add(self) -> bool:
        """Start one more child; False, and a log record, where that fails."""
        try:
            child = await Child.start(self._memory)
        except (Died, OSError) as error:
            log.error("a child for inspections does not start: %r", error.__cause__ or error)
            return False
        self._children.add(child)
        self._idle.put_nowait(child)
        return True

    async def close(self) -> None:
        """End every child, and wait until they are gone."""
        self._closed = True
        await asyncio.gather(*self._replacements)
        await asyncio.gather(*(child.close() for child in self._children))

    def report(self) -> None:
        """Log what the children could not give up on this system."""
        missing = {name for child in self._children for name in child.missing}
        if missing:
            log.warning("inspecting children run without: %s", ", ".join(sorted(missing)))


def _measure(path: Path) -> tuple[str, int]:
    return str(path.absolute()), path.stat().st_size


@asynccontextmanager
async def inspectors(
    *,
    count: int = 2,
    queue: int = 256,
    memory: int = 192 << 20,
    cpu: float = 2.0,
    cpu_per_mib: float = 0.2,
    grace: float = 10.0,
    limits: Mapping[Profile, Limits] = LIMITS,
) -> AsyncIterator[Inspectors]:
    """Open a pool of ``count`` children, ready when this returns.

    ``queue`` inspections may wait. A child may have ``memory`` bytes of address space and,
    for each file, ``cpu`` seconds and ``cpu_per_mib`` more for each MiB of the file; by the
    clock ``grace`` seconds and five times as much. Raises errors.Misconfigured where no
    child starts.
    """
    pool = Inspectors(
        queue=queue, memory=memory, cpu=cpu, cpu_per_mib=cpu_per_mib, grace=grace, limits=limits
    )
    try:
        started = await asyncio.gather(*(pool.add() for _ in range(count)))
        if not all(started):
            raise errors.Misconfigured("The processes that inspect uploads do not start here.")
        pool.report()
        yield pool
    finally:
        await pool.close()

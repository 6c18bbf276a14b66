"""Following the changes that other processes make.

Whoever keeps something that the cache said before registers what is to be told; each poll
reads what changed since the last one. As long as polls succeed, what was kept is as true as
one poll ago.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from packaging.utils import NormalizedName

from app import errors, unbroken
from app.cache.base import Cache
from app.index.history import PRUNED
from app.index.reindex import BEGIN
from app.models import Change

PAGE = 1000
FAR = 20_000
"""So many changes behind, it is cheaper to forget everything than to read them."""

SILENCE = 1.0
"""Seconds after which an answer that has not come may never come."""

logger = logging.getLogger(__name__)

Told = Callable[[NormalizedName | None, int], None]
"""Called with the name of a project that changed, or with None where anything may have.

The number is the serial of the change."""
ToldOfAccess = Callable[[], None]
"""Called where rights changed, or who somebody is."""


class Follower:
    """Polls the changes of a cache; ``fresh`` says whether what was kept can be trusted."""

    def __init__(self, cache: Cache, *, every: timedelta) -> None:
        self._cache = cache
        self._every = every.total_seconds()
        self._listening: list[Told] = []
        self._listening_at_once: list[Callable[[NormalizedName | None], None]] = []
        self._listening_to_access: list[ToldOfAccess] = []
        self._seen: int | None = None
        self._last: Change | None = None
        self._polled: float | None = None
        self._begun = 0.0
        self._interrupted = self._unanswered = False
        self._polling: asyncio.Task[None] | None = None
        self._mine = (0, NormalizedName(""))
        self._losses = 0
        self._made_good = 0
        self.fresh_until = 0.0

    def tell(self, told: Told) -> None:
        """Register what is to be told of every change."""
        self._listening.append(told)

    def tell_at_once(self, told: Callable[[NormalizedName | None], None]) -> None:
        """The same, and of what this process writes, before anybody hears that it stands."""
        self._listening_at_once.append(told)
        self.tell(lambda name, _: told(name))

    def tell_of_access(self, told: ToldOfAccess) -> None:
        """Register what is to be told of every change of access."""
        self._listening_to_access.append(told)

    @property
    def age(self) -> timedelta | None:
        """How long ago the changes were last read; None where they never were."""
        return None if self._polled is None else timedelta(seconds=_now() - self._polled)

    @property
    def seen(self) -> int | None:
        """The serial of the newest change that was read; None where none was."""
        return self._seen

    @property
    def fresh(self) -> bool:
        """Whether the polls keep their pace: one may come late, two may not."""
        return _now() <= self.fresh_until

    @property
    def silent(self) -> bool:
        """Whether the cache left the last poll without an answer, or leaves this one so."""
        if self._polling is None or self._polling.done():
            return self._interrupted
        return self._unanswered or _now() - self._begun > SILENCE

    @property
    def lost(self) -> bool:
        """Whether the cache lost what it held, and was not compared with the storage since."""
        return self._losses > self._made_good

    @contextmanager
    def making_good(self) -> Iterator[None]:
        """Nothing that was lost before the block is missing after it."""
        losses = self._losses
        yield
        self._made_good = max(losses, self._made_good)

    async def run(self) -> None:
        """Poll until cancelled; a cache that does not answer is asked again."""
        failing = False
        try:
            while True:
                try:
                    await self.poll()
                    failing = False
                except errors.PypicloudError as why:
                    if not failing:
                        logger.warning("the changes cannot be followed: %s", why)
                    failing = True
                except Exception:  # a task that ends leaves pages that nobody drops
                    logger.exception("the changes cannot be followed")
                await asyncio.sleep(self._every)
        finally:
            if self._polling is not None:
                self._polling.cancel()

    async def refresh(self) -> None:
        """See that what is known of the cache's past is fresh: whether it lost some of it."""
        if not self.fresh:
            await self.poll()

    async def poll(self) -> None:
        """Read what changed since the last time, and tell of it; once for all who want it now."""
        if self._polling is None or self._polling.done():
            self._polling = unbroken.begun(self._poll())
        await asyncio.shield(self._polling)

    async def _poll(self) -> None:
        begun = self._begun = _now()
        self._unanswered = self._interrupted
        late, self._interrupted = self._interrupted or not self.fresh, True
        mine = self._mine if late else None
        serial = await self._cache.serial()
        if self._seen is None or serial - self._seen > FAR:
            # The first poll; or a cache that was built anew, or ran far ahead.
            self._go_to(serial)
        elif serial < self._seen:
            self._forgotten(serial)
        elif serial != self._seen or late:
            await self._require_past(serial, mine)
        while self._seen is not None and self._seen < serial:
            await self._read_on(serial)
        self._polled = begun
        self.fresh_until = begun + 2 * self._every
        self._interrupted = False

    def wrote(self, name: NormalizedName, serial: int) -> None:
        """This process changed a project; whoever knows that already need not be told."""
        for told in self._listening_at_once:
            told(name)
        if self._seen is not None and serial > max(self._seen, self._mine[0]):
            self._mine = (serial, name)

    async def _read_on(self, serial: int) -> None:
        page = await self._cache.changes(self._seen or 0, PAGE)
        for change in page:
            if change.action in (BEGIN, PRUNED):
                self._announce(None, change.serial)
            elif change.project is not None:
                self._announce(change.project, change.serial)
            else:
                self.announce_access()
        if not page:
            self._go_to(serial)
            return
        self._last, self._seen = page[-1], page[-1].serial

    async def _require_past(self, serial: int, mine: tuple[int, NormalizedName] | None) -> None:
        """See that the cache still has the last change that was seen, and the last one made here.

        A database that took over from another may lack what that one committed last, and go
        on with the same serials for other changes.
        """
        last = self._last
        if last is not None and await self._change(last.serial) not in (None, last):
            self._forgotten(serial)
        elif mine is not None and mine[0] > (self._seen or 0):
            found = await self._change(mine[0])
            if serial < mine[0] or (found is not None and found.project != mine[1]):
                self._forgotten(serial)

    async def _change(self, serial: int) -> Change | None:
        """The change of this serial; None where the cache shows none, as after it was cleared."""
        found = await self._cache.changes(serial - 1, 1)
        shown = found and found[0].serial == serial and found[0].action != PRUNED
        return found[0] if shown else None

    def _forgotten(self, serial: int) -> None:
        logger.error("the cache lost changes that it had; it is compared with the storage")
        self._losses += 1
        self._go_to(serial)

    def _go_to(self, serial: int) -> None:
        """Forget everything, and go on from there."""
        self._announce(None, serial)
        self._seen, self._last, self._mine = serial, None, (0, NormalizedName(""))

    def _announce(self, name: NormalizedName | None, serial: int) -> None:
        for told in self._listening:
            told(name, serial)
        if name is None:
            self.announce_access()

    def announce_access(self) -> None:
        """Tell everybody of a change of access: of one that was read, or that was made here."""
        for told in self._listening_to_access:
            told()


def _now() -> float:
    return time.monotonic()

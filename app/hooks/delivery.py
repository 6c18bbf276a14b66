"""Delivering changes to a webhook: each at least once, whatever becomes of this process.

How far a hook was told stands in the storage, so that replicas and restarts agree; one
replica at a time tells it, as long as there is something to tell (index.lease). What was
answered with anything but success is sent again, by whichever replica comes first.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec

from app import errors
from app.hooks import bodies
from app.hooks.options import HookOptions
from app.index import Index, blobs
from app.index import holder as holders
from app.index.history import PRUNED
from app.index.lease import Held, Lease, Pace, Record, Watch
from app.index.progress import Progress
from app.metrics import Meters
from app.models import Change
from app.outbound import LIMIT, Outbound
from app.storage.base import Storage, read

BATCH = 50
"""Changes that are sent at once."""
PAGE = 500
LOOK = 0.5
"""Seconds between two looks at what this process knows to have changed; asks nobody."""
LONGEST = 300.0
"""Seconds between two attempts, at most; they double from one second on."""

logger = logging.getLogger(__name__)


class _Place(msgspec.Struct, frozen=True):
    serial: int


class Courier:
    """Tells one hook."""

    def __init__(
        self,
        hook: HookOptions,
        index: Index,
        storage: Storage,
        outbound: Outbound,
        meters: Meters,
        *,
        pace: Pace = Pace(),  # noqa: B008  # frozen
        pause: float = 1.0,
    ) -> None:
        self._hook, self._index, self._storage = hook, index, storage
        self._outbound, self._meters = outbound, meters
        self._pace, self._pause = pace, pause
        self._lease = Lease(storage, f"webhook-{hook.id}")
        self._key = f"leases/webhook-{hook.id}-told/serial.json"
        self._watch = Watch(pace.life)
        self._told: int | None = None
        self._failures = 0
        meters.watch("webhook_lag_serials", self._lag, hook.name)

    async def run(self) -> None:
        """Tell of all that changes, until cancelled."""
        while True:
            try:
                await self.look()
                self._failures = 0
                await asyncio.sleep(LOOK)
            except errors.PypicloudError as why:
                await self._fail(str(why))
            except Exception:  # a task that ends tells nobody any more
                logger.exception("webhook %s fails", self._hook.name)
                await self._fail("")

    async def look(self) -> None:
        """Tell of what is new, if anything is, and no other replica does."""
        seen = self._index.follower.seen
        if seen is None:
            return
        if self._told is None:
            self._told = await self._begin(seen)
        if seen <= self._told:
            return
        newest = await self._lease.newest()
        if not await self._watch.is_over(newest):
            self._told = await self._place()
            if self._told < seen:
                await asyncio.sleep(self._pace.look)
            return
        me = await asyncio.to_thread(holders.introduce)
        held = await self._lease.take(newest, Record(me, Progress(holder=me.name)))
        if held is None:
            return
        try:
            async with held.beating(self._pace.beat):
                await self._tell(held)
        finally:
            held.progress.running, held.progress.state = False, "done"
            await held.write()

    async def _tell(self, held: Held) -> None:
        """Of everything up to the newest change, while the lease is ours."""
        self._told = await self._place()
        while not held.lost:
            changes = await self._index.history.changes(self._told, PAGE)
            if not changes:
                return
            if changes[0].action == PRUNED:
                logger.warning("webhook %s was not told of some changes", self._hook.name)
            for begin in range(0, len(changes), BATCH):
                await self._send(changes[begin : begin + BATCH])

    async def _send(self, changes: Sequence[Change]) -> None:
        wanted = [change for change in changes if self._hook.wants(change)]
        if wanted:
            await self._post(wanted)
        await self._note(changes[-1].serial)

    async def _post(self, changes: Sequence[Change]) -> None:
        hook = self._hook
        assert hook.url is not None  # noqa: S101  # those without are nobody's
        sent = bodies.body(hook, changes, datetime.now(UTC))
        headers = {
            "content_type": "application/json",
            "x_pypicloud_delivery": f"{hook.id}-{changes[0].serial}-{changes[-1].serial}",
        }
        if hook.secret is not None:
            key = hook.secret.get_secret_value()
            headers["x_pypicloud_signature"] = bodies.signature(key, sent)
        outcome = "failed"
        try:
            answer = await self._outbound.post(
                hook.url.get_secret_value(), sent, limit=LIMIT, **headers
            )
            if not 200 <= answer.status < 300:
                raise errors.Unreachable(f"it answers {answer.status}")
            outcome = "delivered"
        finally:
            self._meters.count("webhook_deliveries", hook.name, outcome).value += 1

    async def _begin(self, seen: int) -> int:
        """Where a hook that is new begins: with what changes from now on."""
        await self._storage.create(self._key, msgspec.json.encode(_Place(seen)))
        return await self._place()

    async def _place(self) -> int:
        content = await read(self._storage, self._key, limit=1024)
        return msgspec.json.decode(content, type=_Place).serial

    async def _note(self, serial: int) -> None:
        await blobs.put_small(self._storage, self._key, msgspec.json.encode(_Place(serial)))
        self._told = serial

    async def _fail(self, why: str) -> None:
        if why and not self._failures:
            logger.warning("webhook %s will be tried again: %s", self._hook.name, why)
        self._failures += 1
        longest = min(LONGEST, self._pause * 2 ** min(self._failures - 1, 20))
        await asyncio.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311  # jitter

    def _lag(self) -> float:
        seen = self._index.follower.seen
        return 0 if seen is None or self._told is None else max(0, seen - self._told)


@asynccontextmanager
async def telling(couriers: Sequence[Courier]) -> AsyncIterator[None]:
    """Have them run while the block does."""
    tasks = [asyncio.create_task(one.run()) for one in couriers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

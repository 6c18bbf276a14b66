"""What upstreams list, kept: asked once for all who wait, and served on when they are down.

Records lie in the storage, so that they survive a restart and serve all replicas; those that
were asked for lately are at hand.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime

import msgspec
from packaging.utils import NormalizedName

from app import errors
from app.index import blobs
from app.storage.base import Storage, read
from app.upstream import entries, pages, publishers
from app.upstream.client import Client
from app.upstream.entries import Record
from app.upstream.pages import Sent
from app.upstream.publishers import Needed, Verify
from app.upstream.turns import Turn, Turns

ROOT = "upstream/"
AT_HAND = 1000
"""Records."""
FILES_AT_HAND = 200_000
"""Files of all of them."""
LARGEST = 128 * 2**20
INLINE = 8192
"""No more bytes than this are read in the event loop: that takes less than a thread."""
PATIENCE = 2.0
"""Seconds that somebody waits for a new page where an old one is at hand."""
PAUSE = 15.0
"""Seconds for which nobody waits after that was in vain."""

logger = logging.getLogger(__name__)

Free = Callable[[NormalizedName], Awaitable[None]]
"""Returns where a name is certainly not ours; raises otherwise."""
Told = Callable[[str, str], None]
"""Hears of an event: its action, and what it is about."""


class Listings:
    """The records of all upstreams. ``free`` is asked before any question goes out."""

    def __init__(
        self,
        storage: Storage,
        turns: Turns,
        *,
        free: Free,
        needed: Needed,
        verify: Verify,
        told: Told,
    ) -> None:
        self._storage, self._turns = storage, turns
        self._free, self._needed, self._verify, self._told = free, needed, verify, told
        self._kept: OrderedDict[tuple[str, str], Record] = OrderedDict()
        self._files = 0
        self._coming: dict[tuple[str, str], asyncio.Task[Record]] = {}
        self._slow: dict[str, float] = {}
        self._storing: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Wait until what was heard is kept."""
        await asyncio.gather(*self._storing, return_exceptions=True)

    async def get(self, client: Client, name: NormalizedName, *, newest: bool = False) -> Record:
        """What the upstream says of a project, or said a while ago, unless it is to be ``newest``.

        Raises errors.Unreachable where nothing can be said.
        """
        if client.offline:
            return await self._known(client, name)
        now = datetime.now(UTC)
        record = self._at_hand(client, name) or await self._found(client, name)
        if record is not None and record.age(now) < record.fresh_for:
            client.counts["hit"] += 1
            return record
        task = self._refreshing(client, name, record)
        if newest or record is None or not self._may_serve(client, record, now):
            return await asyncio.shield(task)
        done, _ = await asyncio.wait({task}, timeout=self._patience(client, record, now))
        if done and not task.cancelled() and task.exception() is None:
            return task.result()
        self._slow[client.name] = time.monotonic()
        client.counts["stale"] += 1
        return record

    async def _found(self, client: Client, name: NormalizedName) -> Record | None:
        """What was kept, at hand from now on; it is stale where a rule needs what it lacks."""
        found = await self._stored_of(client.name, name)
        if (known := self._at_hand(client, name)) is not None or found is None:
            return known
        if publishers.lacking(client, found, self._needed):
            found = msgspec.structs.replace(found, fresh_for=0.0)
        self._keep(found)
        return found

    async def _known(self, client: Client, name: NormalizedName) -> Record:
        """What was said at whatever time; others may bring it into the storage."""
        record = await self._stored_of(client.name, name)
        if record is None or (record.absent and record.age(datetime.now(UTC)) > record.fresh_for):
            raise errors.Unreachable(f"Upstream {client.name!r} is not asked: we are offline.")
        client.counts["hit"] += 1
        return record

    def _patience(self, client: Client, record: Record, now: datetime) -> float:
        """Seconds to wait for a new page: none while the old one is not very old, or where the
        last who waited did so in vain."""
        slow = time.monotonic() - self._slow.get(client.name, -PAUSE) < PAUSE
        return 0.0 if slow or record.age(now) < 2 * record.fresh_for else PATIENCE

    def _may_serve(self, client: Client, record: Record, now: datetime) -> bool:
        stale = client.options.stale.total_seconds()
        return not record.absent and record.age(now) < record.fresh_for + stale

    def _refreshing(
        self, client: Client, name: NormalizedName, old: Record | None
    ) -> asyncio.Task[Record]:
        key = (client.name, name)
        if (task := self._coming.get(key)) is None:
            task = self._coming[key] = asyncio.create_task(self._refresh(client, name, old))
            task.add_done_callback(lambda done: self._arrived(key, done))
        return task

    def _arrived(self, key: tuple[str, str], task: asyncio.Task[Record]) -> None:
        del self._coming[key]
        if not task.cancelled():
            task.exception()  # raised to whoever waits; where nobody does, it concerns nobody

    async def _refresh(self, client: Client, name: NormalizedName, known: Record | None) -> Record:
        began, old = datetime.now(UTC), known

        async def newer() -> Record | None:
            """What another replica was told; one that is stale too is the old one from now on."""
            nonlocal old
            found = await self._stored_of(client.name, name)
            if found is None or (old is not None and found.asked <= old.asked):
                return None
            old = found
            fresh = found.asked >= began or found.age(datetime.now(UTC)) < found.fresh_for
            return found if fresh and not publishers.lacking(client, found, self._needed) else None

        turn = await self._turns.take(f"page {client.name} {name}", newer)
        if isinstance(turn, Record):
            self._keep(turn)
            return turn
        try:
            await self._free(name)
            client.counts["miss"] += 1
            new = await self._ask(client, name, old)
            new = await publishers.told(client, new, old, self._needed, self._verify)
            await self._free(name)  # it may have become ours meanwhile
        except BaseException:
            await turn.end()
            raise
        self._tell(client, name, old, new)
        self._keep(new)
        # Whoever waits need not wait for the disk; should that fail, it is asked once more.
        storing = asyncio.create_task(self._store(new, turn))
        self._storing.add(storing)
        storing.add_done_callback(self._storing.discard)
        return new

    def _tell(self, client: Client, name: NormalizedName, old: Record | None, new: Record) -> None:
        for filename in set(new.changed) - set(old.changed if old else ()):
            client.counts["changed"] += 1
            self._told("upstream.hash_change", f"{client.name}: {name}/{filename}")
        if new.missing_since and not (old and old.missing_since):
            self._told("upstream.shrink", f"{client.name}: {name}")

    async def _ask(self, client: Client, name: NormalizedName, old: Record | None) -> Record:
        headers = {"accept": pages.ACCEPT, "accept_encoding": "gzip"}
        if old is not None and old.etag:
            headers["if_none_match"] = old.etag
        elif old is not None and old.last_modified:
            headers["if_modified_since"] = old.last_modified
        async with client.get(f"{client.base}/{name}/", **headers) as reply:
            now = datetime.now(UTC)
            if reply.status == 304 and old is not None:
                fresh = pages.fresh_for(client, reply.headers)
                return msgspec.structs.replace(old, asked=now, fresh_for=fresh)
            if reply.status in (404, 410):
                return pages.merged(old, pages.absent(client, name, now), now)
            if reply.status != 200:
                raise errors.Unreachable(f"it answers {reply.status}")
            body = await reply.body(limit=client.options.largest_page)
            client.counts["bytes"] += len(body)
            sent = Sent(url=reply.url, headers=reply.headers, body=body)
            if len(body) <= INLINE:
                new = pages.record(client, name, sent, now)
            else:
                new = await asyncio.to_thread(pages.record, client, name, sent, now)
        if new.dropped:
            client.counts["dropped"] += new.dropped
            logger.warning(
                "upstream %s: %d entries of %s were left out", client.name, new.dropped, name
            )
        return pages.merged(old, new, now)

    async def names(self, client: Client) -> tuple[str, ...]:
        """The projects that the upstream lists, as it spells them. Raises errors.Unreachable."""
        async with client.get(f"{client.base}/", accept=pages.ACCEPT,
                              accept_encoding="gzip") as reply:  # fmt: skip
            if reply.status != 200:
                raise errors.Unreachable(f"it answers {reply.status} for its list of projects")
            body = await reply.body(limit=LARGEST)
            return await asyncio.to_thread(pages.listed, client, reply.headers, body)

    async def take(self, record: Record) -> None:
        """What another service heard of an upstream, unless something newer is known here."""
        old = await self._stored_of(record.upstream, record.name)
        if old is None or old.asked < record.asked:
            await self._store(pages.merged(old, record, record.asked))

    async def records(self) -> AsyncGenerator[Record]:
        """Every page that is kept, of whatever upstream."""
        async for stored in self._storage.scan(ROOT):
            upstream, _, rest = stored.key.removeprefix(ROOT).partition("/")
            if rest.startswith("pages/"):
                name = NormalizedName(rest.removeprefix("pages/").removesuffix(".json"))
                if (record := await self._stored_of(upstream, name)) is not None:
                    yield record

    # Keeping

    def _at_hand(self, client: Client, name: NormalizedName) -> Record | None:
        if (record := self._kept.get((client.name, name))) is not None:
            self._kept.move_to_end((client.name, name))
        return record

    def _keep(self, record: Record) -> None:
        key = (record.upstream, record.name)
        if (gone := self._kept.pop(key, None)) is not None:
            self._files -= len(gone.entries)
        self._kept[key] = record
        self._files += len(record.entries)
        while len(self._kept) > AT_HAND or (self._files > FILES_AT_HAND and len(self._kept) > 1):
            _, gone = self._kept.popitem(last=False)
            self._files -= len(gone.entries)

    async def _stored_of(self, upstream: str, name: NormalizedName) -> Record | None:
        try:
            content = await read(self._storage, _key(upstream, name), limit=LARGEST)
        except (errors.KeyNotFound, ValueError):
            return None
        if len(content) <= INLINE:
            return entries.decode(content)
        return await asyncio.to_thread(entries.decode, content)

    async def _store(self, record: Record, turn: Turn | None = None) -> None:
        """Keep it for others; then the turn that led to it is over."""
        try:
            content = await asyncio.to_thread(entries.encode, record)
            await blobs.put_small(self._storage, _key(record.upstream, record.name), content)
        except errors.StorageUnavailable as why:  # asked again by whoever needs it
            logger.warning("a page of upstream %s is not kept: %s", record.upstream, why)
        finally:
            if turn is not None:
                await turn.end()


def _key(upstream: str, name: NormalizedName) -> str:
    return f"{ROOT}{upstream}/pages/{name}.json"

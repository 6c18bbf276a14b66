"""Writes of one process, so many in one transaction as fit, one transaction after the other.

Processes race for META: whoever loses looks again at what stands there and tries anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from packaging.utils import NormalizedName
from ulid import ULID

from app import errors
from app.cache.dynamodb import reading, records
from app.cache.dynamodb.draft import LAID, Draft, Laid, Sight, Unread
from app.cache.dynamodb.manners import Manners
from app.cache.dynamodb.records import META, Kept, Meta
from app.dynamodb.failures import Refused
from app.dynamodb.keys import revision_in
from app.dynamodb.table import Table, together

T = TypeVar("T")

ITEMS = 100
"""In one transaction, at the most."""
TOGETHER = 97
"""Writes that are tried in one transaction."""
MANY = 500
"""Files; writes that concern more are reckoned in a thread."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """A write that waits: of one project, or of none; ``alone`` with no other."""

    work: Callable[[Draft], Any]
    name: NormalizedName | None
    alone: bool
    outcome: asyncio.Future[Any]


_Drafted = tuple[Draft, list[object]]


class Writer:
    """``told`` is called with META as each transaction left it, and with what it left behind."""

    def __init__(
        self, table: Table, told: Callable[[Meta, Sequence[tuple[NormalizedName, str]]], None]
    ) -> None:
        self._table = table
        self._told = told
        self._waiting: deque[_Turn] = deque()
        self._laid: dict[NormalizedName, Laid] = {}
        self._prefix = Meta().prefix
        self._running: asyncio.Task[None] | None = None
        self._manners = Manners()

    async def do(
        self, work: Callable[[Draft], T], name: NormalizedName | None = None, *, alone: bool = False
    ) -> T:
        """Do one write; it is finished even where the caller is cancelled."""
        return (await self.do_all([(work, name)], alone=alone))[0]

    async def do_all(
        self,
        works: Iterable[tuple[Callable[[Draft], T], NormalizedName | None]],
        *,
        alone: bool = False,
    ) -> list[T]:
        """The same for many, in this order, though not all at once."""
        loop = asyncio.get_running_loop()
        turns = [_Turn(work, name, alone, loop.create_future()) for work, name in works]
        self._waiting.extend(turns)
        if self._waiting and (self._running is None or self._running.done()):
            self._running = asyncio.create_task(self._run())
        outcomes: asyncio.Future[list[T]] = asyncio.gather(*(turn.outcome for turn in turns))
        outcomes.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(outcomes)

    async def settled(self) -> None:
        """Wait for what goes on although nobody waits for it any more."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        while self._waiting:
            batch = self._taken()
            try:
                done = await self._commit(batch)
            except Exception as error:  # whoever waits gets it, whatever it is
                self._fail([*batch, *self._waiting], error)
                self._waiting.clear()
            else:
                self._waiting.extendleft(reversed(batch[done:]))

    def _taken(self) -> list[_Turn]:
        batch = [self._waiting.popleft()]
        while (
            self._waiting
            and len(batch) < TOGETHER
            and not (batch[0].alone or self._waiting[0].alone)
        ):
            batch.append(self._waiting.popleft())
        return batch

    def _fail(self, turns: Iterable[_Turn], error: Exception) -> None:
        for turn in turns:
            turn.outcome.set_exception(error)
            turn.outcome.exception()  # nobody may be waiting any more

    async def _commit(self, batch: Sequence[_Turn]) -> int:
        """Do as many of these as fit into one transaction; how many."""
        draft, outcomes = await self._won(batch)
        if not self._waiting:
            draft.litter += [(name, laid.incarnation) for name, laid in self._laid.items()]
            self._laid.clear()
        self._told(draft.finished(), draft.litter)
        for turn, outcome in zip(batch, outcomes, strict=False):
            if isinstance(outcome, errors.PypicloudError):
                self._fail([turn], outcome)
            else:
                turn.outcome.set_result(outcome)
        return len(outcomes)

    async def _won(self, batch: Sequence[_Turn]) -> _Drafted:
        """What was done, once nobody else wrote meanwhile."""
        clock = asyncio.get_running_loop().time
        ends = clock() + self._table.timeout
        while True:
            await asyncio.sleep(self._manners.pause())
            begun = clock()
            drafted = await self._tried(batch)
            if drafted is not None:
                self._manners.won(clock() - begun)
                return drafted
            self._manners.lost(clock() - begun)
            if clock() >= ends:
                break
        raise errors.CacheUnavailable("DynamoDB: other writers were faster all the time.")

    async def _tried(self, batch: Sequence[_Turn]) -> _Drafted | None:
        """What was done; None where somebody else wrote meanwhile."""
        sight = await self._look(batch)
        drafted = await self._drafted(sight, batch)
        if drafted is None or not drafted[0].differs:
            return drafted
        try:
            await self._table.transact(drafted[0].writes())
        except Refused as refused:
            if refused.contended:
                return None
            raise
        for name in drafted[0].filled:
            self._laid.pop(name, None)
        return drafted

    async def _look(self, batch: Sequence[_Turn]) -> Sight:
        """META and the projects: one request, unless the prefix is another than it was."""
        names = {turn.name for turn in batch if turn.name is not None}
        while True:
            prefix = self._prefix
            keys = {name: records.project_key(prefix, name) for name in names}
            found = await self._table.get_many([META, *keys.values()])
            meta = records.meta(found[META]) if META in found else Meta()
            self._prefix = meta.prefix
            if prefix == meta.prefix:
                break
        revision = revision_in(found[META]) if META in found else None
        sight = Sight(meta, revision, laid=self._laid)
        for name, key in keys.items():
            one = found.get(key)
            kept = None if one is None else Kept(records.known(one), revision_in(one))
            sight.projects[name] = kept
        return sight

    async def _drafted(self, sight: Sight, batch: Sequence[_Turn]) -> _Drafted | None:
        """The writes done on paper, with their outcomes; None where what was seen is torn."""
        while True:
            concerned = sum(len(files) for files in sight.whole.values())
            concerned += sum(len(laid.heads) for laid in sight.laid.values())
            if concerned > MANY:
                done = await asyncio.to_thread(_done, sight, batch)
            else:
                done = _done(sight, batch)
            if not isinstance(done, list):
                return done
            if not await self._read(sight, done):
                return None

    async def _read(self, sight: Sight, every: Sequence[Unread]) -> bool:
        """See what is wanted; False where it is torn."""
        prefix = sight.meta.prefix
        keys = {}
        for one in every:
            kept = sight.projects[one.name]
            if one.filename is not None and kept is not None:
                key = records.file_key(prefix, one.name, one.filename, kept.value.incarnation)
                keys[one.name, one.filename] = key
        found = await self._table.get_many(keys.values())
        for which, key in keys.items():
            held = found.get(key)
            sight.files[which] = (
                None if held is None else Kept(records.files([held])[0], revision_in(held))
            )
        await self._lay_out(sight, [one for one in every if one.files is not None])
        those = [one.name for one in every if one.filename is None and one.files is None]
        return all(await together(self._see_whole(sight, name) for name in those))

    async def _lay_out(self, sight: Sight, every: Sequence[Unread]) -> None:
        items = []
        for one in every:
            files, incarnation = one.files or {}, str(ULID())
            heads = {filename: file.head for filename, file in files.items()}
            sight.laid[one.name] = Laid(sight.meta.prefix, incarnation, heads)
            for filename, file in files.items():
                key = records.file_key(sight.meta.prefix, one.name, filename, incarnation)
                items.append(records.item(key, LAID, file))
        await self._table.write_many(items)

    async def _see_whole(self, sight: Sight, name: NormalizedName) -> bool:
        kept = sight.projects[name]
        if kept is None:
            return False
        found = await reading.whole(self._table, sight.meta.prefix, name, kept.value)
        if found is not None:
            sight.whole[name] = found
        return found is not None


def _done(sight: Sight, batch: Sequence[_Turn]) -> _Drafted | list[Unread]:
    """All that fits, with the outcomes; or what is to be read first."""
    fits = len(batch)
    while True:
        draft, outcomes, unread = Draft(sight), [], []
        blind: set[NormalizedName | None] = set()
        for number, turn in enumerate(batch[:fits]):
            if turn.name in blind:
                continue
            try:
                outcomes.append(turn.work(draft))
            except Unread as wanted:
                unread.append(wanted)
                if wanted.filename is None:
                    blind.add(turn.name)
            except errors.PypicloudError as error:
                outcomes.append(error)
            if draft.size > ITEMS:
                fits = number
                break
        else:
            return unread or (draft, outcomes)

"""The files of a PyPICloud 1: adopted where they lie, or copied elsewhere and adopted there."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import timedelta

from app import plugins
from app.cli import adopt, opening
from app.cli.copying import Copy, Outcome
from app.cli.showing import bar as showing
from app.config import Settings
from app.index import Index
from app.index.adopting_names import is_ours
from app.models import Stored
from app.storage.base import Storage
from app.upload.inspection import inspectors


@dataclass(slots=True)
class Beside:
    """A storage whose old keys are told of as their source tells: with its times and facts."""

    target: Storage
    source: Storage
    _times: dict[str, Stored] = field(default_factory=dict)

    async def create(self, key: str, content: bytes) -> bool:
        return await self.target.create(key, content)

    async def put(
        self,
        key: str,
        content: AsyncIterator[bytes],
        *,
        size: int,
        sha256: str,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        await self.target.put(key, content, size=size, sha256=sha256, metadata=metadata)

    def get(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        return self.target.get(key, start=start, end=end)

    async def head(self, key: str) -> Stored | None:
        stored = await self.target.head(key)
        if stored is None or is_ours(key):
            return stored
        former = await self.source.head(key)
        if former is None or former.size != stored.size:
            return stored
        return replace(stored, modified=former.modified, metadata=former.metadata)

    async def url(self, key: str, *, filename: str, expires_in: timedelta) -> str | None:
        return await self.target.url(key, filename=filename, expires_in=expires_in)

    async def delete(self, key: str) -> None:
        await self.target.delete(key)

    async def delete_many(self, keys: Sequence[str]) -> None:
        await self.target.delete_many(keys)

    async def scan(self, prefix: str = "") -> AsyncIterator[Stored]:
        former = {one.key: one async for one in self.source.scan(prefix) if not is_ours(one.key)}
        async for stored in self.target.scan(prefix):
            one = former.get(stored.key)
            yield stored if one is None else replace(stored, modified=one.modified)


async def copied(copy: Copy) -> tuple[Counter[str], list[Outcome]]:
    """Run a copy to its end: how many keys ended in which state, and what is wrong."""
    counts: Counter[str] = Counter()
    wrong: list[Outcome] = []
    with showing() as bar:
        task = bar.add_task("Listing both storages", total=None)
        async with aclosing(copy.run()) as outcomes:
            async for outcome in outcomes:
                counts[outcome.state] += 1
                wrong += [outcome] if outcome.reason is not None else []
                described = f"{copy.done} of {copy.found} keys"
                bar.update(task, description=described, completed=copy.done_size, total=copy.size)
    return counts, wrong


async def elsewhere(
    source: Settings, target: Settings, *, prefix: str, say: adopt.Say
) -> tuple[Counter[str], Counter[str], list[Outcome]]:
    """Copy everything out of one storage into the other, and adopt it there.

    How many keys ended in which state of a copy, and of an adoption; and what is wrong.
    """
    await asyncio.to_thread(adopt.make_spool, target.spool)
    async with (
        opening.open_source(source) as old,
        opening.open_storage(target) as new,
        plugins.backend("cache", target.cache)(target.cache, target.cache_options) as cache,
        inspectors(count=target.inspectors) as pool,
    ):
        copies, wrong = await copied(Copy(old, new, target.spool, prefix=prefix))
        index = Index(Beside(new, old), cache, delete_grace=target.delete_grace)
        adoption = await index.adopt(
            pool, spool=target.spool, operator=opening.operator(), prefix=prefix
        )
        counts = await adopt.followed(adoption, say)
        await index.notes.flush()
    return copies, counts, wrong

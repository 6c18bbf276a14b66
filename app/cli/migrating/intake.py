"""Files of another index, each taken in by the checks that uploads pass, by the rules of import.

What is here already is passed over, so a run that was interrupted goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from packaging.utils import NormalizedName

from app import errors
from app.abreast import abreast
from app.index import Index
from app.index.adopting_names import Named, Unfit, identify
from app.index.legacy import Facts
from app.models import Actor, File
from app.upload import deduced
from app.upload.accept import Inspector, accept
from app.upload.spool import Spool, Spooled

AT_ONCE = 8
"""Files that are taken in together."""
REFUSALS = (
    Unfit,
    errors.Invalid,
    errors.Refused,
    errors.TooLarge,
    errors.Corrupt,
    errors.NotFound,
    errors.Unreachable,
)
"""What ends with one file. Whatever else goes wrong ends the run."""

State = Literal["taken", "wanted", "there", "left"]
"""``wanted``: a trial would take it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One file of a source. ``project`` as the source knows it, or empty; ``where`` for people.

    ``read`` gives the bytes; ``yanked`` is None or the reason (PEP 592). ``problem``: why the
    source itself cannot give it.
    """

    filename: str
    where: str
    read: Callable[[], AsyncIterator[bytes]]
    project: str = ""
    sha256: str | None = None
    yanked: str | None = None
    problem: str = ""


class Source(Protocol):
    """Whatever lists files."""

    def files(self) -> AsyncIterator[Wanted]:
        """Every file, one project after the other. Raises errors.Unavailable, errors.Invalid."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one file; ``reason`` where it was left."""

    where: str
    state: State
    project: str | None = None
    filename: str = ""
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Where files go. Without an ``inspector`` it is a trial, which reads no more than it must."""

    index: Index
    inspector: Inspector | None
    spool: Path
    largest: int
    actor: Actor

    def run(self, source: Source) -> AsyncGenerator[Outcome, None]:
        """What becomes of every file; whoever breaks it off must close it."""
        return abreast((self._one(wanted) async for wanted in source.files()), AT_ONCE)

    async def _one(self, wanted: Wanted) -> Outcome:
        project: NormalizedName | None = None
        try:
            if wanted.problem:
                raise Unfit(wanted.problem)
            named = _named(wanted)
            project = named.project
            state = await self._take(wanted, named)
        except REFUSALS as why:
            return Outcome(
                where=wanted.where,
                state="left",
                project=project,
                filename=wanted.filename,
                reason=str(why),
            )
        return Outcome(where=wanted.where, state=state, project=project, filename=wanted.filename)

    async def _take(self, wanted: Wanted, named: Named) -> State:
        file = await self._there(named.project, wanted.filename)
        if file is not None:
            sha256 = wanted.sha256 or await _sha256(wanted)
            if sha256 != file.hashes.sha256:
                raise Unfit("its filename is taken by other bytes here")
            await self._yank(file, wanted)
            return "there"
        if self.inspector is None:
            return "wanted"
        spool = await asyncio.to_thread(Spool, self.spool, limit=self.largest)
        try:
            content = await _spooled(wanted, spool)
            form = deduced.form(content, named.project, "import", {})
            distribution = await accept(form, profile="import", inspector=self.inspector)
            published = await self.index.publish(distribution, self.actor)
        finally:
            await asyncio.to_thread(spool.discard)
        await self._yank(published.file, wanted)
        return "taken" if published.new else "there"

    async def _there(self, project: NormalizedName, filename: str) -> File | None:
        try:
            return await self.index.file(project, filename)
        except errors.NotFound:
            return None

    async def _yank(self, file: File, wanted: Wanted) -> None:
        if wanted.yanked is not None and file.yanked is None and self.inspector is not None:
            await self.index.yank([file], wanted.yanked, self.actor)


def _named(wanted: Wanted) -> Named:
    """Project and version; the filename is believed where the source names no project."""
    facts = Facts(name=wanted.project or None)
    digest = hashlib.md5(wanted.filename.encode(), usedforsecurity=False).hexdigest()[:4]
    return identify(f"{digest}/{wanted.filename}", facts)


async def _spooled(wanted: Wanted, spool: Spool) -> Spooled:
    async with aclosing(_generated(wanted)) as chunks:
        async for chunk in chunks:
            await asyncio.to_thread(spool.write, chunk)
    content = await asyncio.to_thread(spool.finish, wanted.filename)
    if wanted.sha256 and content.hashes.sha256 != wanted.sha256:
        raise Unfit(f"its sha256 is {content.hashes.sha256}, but should be {wanted.sha256}")
    return content


async def _sha256(wanted: Wanted) -> str:
    digest = hashlib.sha256()
    async with aclosing(_generated(wanted)) as chunks:
        async for chunk in chunks:
            await asyncio.to_thread(digest.update, chunk)
    return digest.hexdigest()


async def _generated(wanted: Wanted) -> AsyncGenerator[bytes, None]:
    async for chunk in wanted.read():
        yield chunk

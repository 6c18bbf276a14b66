"""Take in the buckets and folders that PyPICloud filled: in place, once, beside live traffic.

Each old file gets its first event, with the key that it has as the blob. Nothing old is
moved, changed or removed; what is added are events, and core metadata below ``adopted/``.
A run that ends too early is completed by the next one, and a complete one changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal

from app import errors, events
from app.abreast import abreast
from app.index import blobs, claims, legacy
from app.index.adopting_names import Unfit, check_key, identify, kind_of
from app.index.adopting_survey import Found, Survey
from app.index.adopting_take import Candidate, Taker, handed_out
from app.index.journal import Journal
from app.models import FileState, Stored
from app.storage.base import Storage, read

FILES = 16
"""Files that are looked at together."""
REFUSALS = (
    Unfit,
    errors.Corrupt,
    errors.Invalid,
    errors.KeyNotFound,
    errors.Refused,
    errors.TooLarge,
)
"""What ends with one file. Whatever else goes wrong ends the run."""

State = Literal["adopted", "adoptable", "known", "copy", "left"]
"""``adoptable``: a trial would adopt it. ``known``: adopted before. ``copy``: another key of
this filename is known, or chosen, and has the same bytes. ``left``: it cannot be adopted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one key; ``reason`` says why it is left, or of what it is a copy."""

    key: str
    state: State
    size: int
    project: str | None = None
    filename: str | None = None
    version: str | None = None
    reason: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Progress:
    """How far a run has come, in keys and in bytes of distributions, out of what there is."""

    keys: int = 0
    size: int = 0
    found: Found = field(default_factory=Found)


@dataclass(slots=True)
class _Twins:
    """What became, project by project, of the newer keys of one filename."""

    chosen: dict[str, Candidate] = field(default_factory=dict)
    barred: dict[str, str] = field(default_factory=dict)


class Adoption:
    """One run over the keys that begin with ``prefix``.

    Without a ``taker`` it is a trial: nothing is written, and only bytes that have to be
    compared are read. ``progress`` may be looked at meanwhile.
    """

    def __init__(self, storage: Storage, taker: Taker | None = None, *, prefix: str = "") -> None:
        self._storage = storage
        self._taker = taker
        self._journal = Journal(storage)
        self._survey = Survey(storage, prefix)
        self.progress = Progress(found=self._survey.found)

    async def run(self) -> AsyncGenerator[Outcome, None]:
        """What becomes of every key that is not ours, as far as possible in their order.

        Raises errors.Unavailable where storage, cache or spool fail: to be run again. Whoever
        breaks it off must close it.
        """
        await self._survey.count()
        groups = (self._group(group) async for group in self._survey.groups())
        async with aclosing(abreast(groups, FILES)) as found:
            async for outcomes in found:
                for outcome in outcomes:
                    yield outcome

    async def is_new(self, listed: Stored) -> bool:
        """Whether a key holds a file that could be adopted, and whose filename nobody has here."""
        try:
            candidate = await self._look(listed)
        except (Unfit, errors.KeyNotFound):
            return False
        if candidate is None:
            return False
        return not await self._journal.records(candidate.named.project, candidate.named.filename)

    async def _group(self, group: Sequence[Stored]) -> list[Outcome]:
        """The keys of one filename, the newest first: it is the one to be adopted."""
        twins = _Twins()
        outcomes: list[Outcome] = []
        for stored in group:
            outcome = await self._key(stored, twins)
            self.progress.keys += 1
            if kind_of(stored.key) is not None:
                self.progress.size += stored.size
            if outcome is not None:
                outcomes.append(outcome)
        return outcomes

    async def _key(self, stored: Stored, twins: _Twins) -> Outcome | None:
        """What becomes of a key; None for the facts of another."""
        try:
            candidate = await self._look(stored)
        except (Unfit, errors.KeyNotFound) as why:
            return Outcome(key=stored.key, state="left", size=stored.size, reason=str(why))
        if candidate is None:
            return None
        try:
            outcome = await self._decide(candidate, twins)
        except REFUSALS as why:
            outcome = _outcome(candidate, "left", str(why))
        if outcome.state == "left":
            twins.barred.setdefault(candidate.named.project, stored.key)
        return outcome

    async def _look(self, listed: Stored) -> Candidate | None:
        """What a key holds; None for a ``.meta`` file that belongs to a file."""
        key = listed.key
        check_key(key)
        if key.endswith(blobs.SIDECAR) and await self._is_fact(key.removesuffix(blobs.SIDECAR)):
            return None
        if kind_of(key) is None:
            identify(key, legacy.Facts())
        stored = await self._storage.head(key)
        if stored is None:
            raise errors.KeyNotFound(key)
        if stored.size == 0:
            raise Unfit("it is empty")
        facts, notes = await self._facts(stored)
        named = identify(key, facts)
        return Candidate(stored=stored, named=named, facts=facts, notes=(*notes, *named.notes))

    async def _is_fact(self, key: str) -> bool:
        """Whether a ``.meta`` file beside this key tells of it."""
        named = key.rpartition("/")[2]
        return bool(named) and await self._storage.head(key) is not None

    async def _facts(self, stored: Stored) -> tuple[legacy.Facts, tuple[str, ...]]:
        facts = legacy.facts(stored.metadata)
        if facts != legacy.Facts():
            return facts, ()
        try:
            beside = f"{stored.key}{blobs.SIDECAR}"
            content = await read(self._storage, beside, limit=legacy.SIDECAR_LIMIT)
            found = legacy.sidecar(content)
        except errors.KeyNotFound:
            return facts, ()
        except ValueError:  # too long
            found = None
        return (found, ()) if found else (facts, ("the .meta file beside it cannot be read",))

    async def _decide(self, candidate: Candidate, twins: _Twins) -> Outcome:
        named = candidate.named
        records = await self._journal.records(named.project, named.filename)
        if records:
            return await self._compare(candidate, records)
        newer = twins.barred.get(named.project)
        if newer is not None and named.project not in twins.chosen:
            raise Unfit(f"a newer file of this name cannot be adopted either: {newer}")
        project = await self._journal.project(named.project)
        if project is not None:
            claims.refuse_closed(project)
        if self._taker is None:
            return await self._try(candidate, twins)
        taken = await self._taker.take(candidate)
        if not taken.ours:
            return await self._compare(candidate, taken.records)
        return _outcome(candidate, "adopted", notes=(*candidate.notes, *taken.notes))

    async def _try(self, candidate: Candidate, twins: _Twins) -> Outcome:
        """What would become of a file whose name is free."""
        chosen = twins.chosen.setdefault(candidate.named.project, candidate)
        if chosen is candidate:
            return _outcome(candidate, "adoptable", notes=candidate.notes)
        if chosen.stored.size == candidate.stored.size:
            sha256 = await self._sha256(chosen.stored.key)
            if await self._sha256(candidate.stored.key) == sha256:
                return _outcome(candidate, "copy", f"the same bytes as {chosen.stored.key}")
        return _outcome(candidate, "left", _taken_by(chosen.stored.key))

    async def _compare(self, candidate: Candidate, records: Sequence[bytes]) -> Outcome:
        """What a key is beside the file that has its filename already."""
        file = events.fold_file(records)
        if file.blob == candidate.stored.key:
            if self._taker is not None:
                await self._taker.tell(records)
            return _outcome(candidate, "known")
        if file.state in (FileState.DELETED, FileState.PURGED):
            return _outcome(candidate, "left", "a file of this name was deleted here")
        same_size = file.size == candidate.stored.size
        if same_size and await self._sha256(candidate.stored.key) == file.hashes.sha256:
            return _outcome(candidate, "copy", f"the same bytes as {file.blob}")
        return _outcome(candidate, "left", _taken_by(file.blob))

    async def _sha256(self, key: str) -> str:
        digest = hashlib.sha256()
        async with aclosing(handed_out(self._storage, key)) as chunks:
            async for chunk in chunks:
                digest.update(chunk)
        return digest.hexdigest()


def _taken_by(key: str) -> str:
    return f"its filename is taken by other bytes: {key}"


def _outcome(
    candidate: Candidate, state: State, reason: str | None = None, notes: tuple[str, ...] = ()
) -> Outcome:
    named = candidate.named
    return Outcome(
        key=candidate.stored.key,
        state=state,
        size=candidate.stored.size,
        project=named.project,
        filename=named.filename,
        version=named.version,
        reason=reason,
        notes=notes,
    )

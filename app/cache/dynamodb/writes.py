"""What a write does, given its draft: the methods of Cache by the same names."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

import msgspec
from packaging.utils import NormalizedName

from app import errors
from app.cache import newest
from app.cache.builds import emptied
from app.cache.dynamodb.draft import Draft
from app.cache.dynamodb.records import LAYOUT, prefix
from app.cache.newest import Standing
from app.models import Change, File, Project

FEW = 40
"""Files of a known project that go into the transaction itself; more are laid out before."""
ABANDONED = 7 * 86400
"""Seconds after which the items of a version that no process used may go."""


def save(draft: Draft, file: File, change: Change) -> int:
    known = draft.known(file.project)
    if known is None:
        raise errors.ProjectNotFound(file.project)
    held = draft.held(file.project, file.filename)
    if held is not None and not newest.gives_way(held, file):
        return newest.told(held, file, known.serial)
    draft.put_file(file.project, file.filename, file)
    standing = _standing(draft, file.project, held, file)
    serial = draft.give(change)
    draft.put_project(known.facts, serial, standing)
    return serial


def save_project(draft: Draft, project: Project, change: Change) -> int:
    known = draft.known(project.name)
    if known is not None and not newest.gives_way(known.facts, project):
        return newest.told(known.facts, project, known.serial)
    standing = None if known is None else known.standing
    if known is not None and known.facts.generation != project.generation:
        standing = _folded(project.generation, draft.every(project.name))
    serial = draft.give(change)
    draft.put_project(project, serial, standing)
    return serial


def forget(draft: Draft, name: NormalizedName, filename: str | None, change: Change) -> int:
    known = draft.known(name)
    if known is None:
        return 0
    if filename is None:
        draft.drop_project(name)
        return draft.give(change)
    held = draft.held(name, filename)
    if held is None:
        return known.serial
    draft.put_file(name, filename, None)
    standing = _standing(draft, name, held, None)
    serial = draft.give(change)
    draft.put_project(known.facts, serial, standing)
    return serial


def restore(draft: Draft, project: Project, change: Change, untrue: AbstractSet[str]) -> int:
    """One project; 1 where it differs."""
    name = project.name
    change = replace(change, project=name)
    known = draft.known(name)
    if known is None:
        files = _newer(project.files, {}, untrue)
        draft.laid(name, files)
        draft.meta = msgspec.structs.replace(
            draft.meta, serial=max(draft.meta.serial, project.serial)
        )
        serial = draft.give(change)
        standing = _folded(project.generation, files)
        draft.fill(project, project.serial or serial, standing, files)
        return 1
    held = draft.every(name)
    files = _newer(project.files, held, untrue)
    facts = project if newest.gives_way(known.facts, project, untrue) else known.facts
    if facts is known.facts and not files:
        return 0
    standing = _folded(facts.generation, held | files)
    if len(files) > FEW:
        draft.laid(name, held | files)
        draft.fill(facts, draft.give(change), standing, held | files)
        return 1
    for filename, file in files.items():
        draft.put_file(name, filename, file)
    draft.put_project(facts, draft.give(change), standing)
    return 1


def record(draft: Draft, change: Change) -> int:
    return draft.give(change)


def prune(draft: Draft, change: Change) -> None:
    """From now on the change stands for all up to its serial."""
    pruned = draft.meta.pruned
    if pruned is None or pruned.serial < change.serial:
        draft.meta = msgspec.structs.replace(draft.meta, pruned=change)


def clear(draft: Draft, floor: int) -> tuple[int, int]:
    """The era that begins."""
    meta = draft.meta
    serial = max(meta.serial, floor)
    meta = msgspec.structs.replace(meta, serial=serial, dead={**meta.dead, meta.prefix: _now()})
    draft.meta = meta.saying(
        epoch=meta.mine.epoch + 1, built=False, since=serial, caught=serial, shown=0, seen=_now()
    )
    return draft.meta.era


def set_built(draft: Draft, caught: int, era: tuple[int, int] | None) -> None:
    if era is not None and draft.meta.era != era:
        raise emptied()
    draft.meta = draft.meta.saying(built=True, caught=max(caught, draft.meta.mine.caught))


def enter(draft: Draft) -> int:
    """Say that this version is in use; the present serial.

    It does not count as built any more where another version wrote what it has not.
    """
    meta, now = draft.meta, _now()
    others = [facts.wrote for layout, facts in meta.layouts.items() if layout != LAYOUT]
    if max(others, default=0) > meta.mine.caught:
        meta = meta.saying(built=False)
    if LAYOUT not in meta.layouts:
        meta = meta.saying(caught=meta.serial)
    draft.meta = meta.saying(seen=now)
    return meta.serial


def keep(draft: Draft) -> None:
    """The same while it goes on; where it is built, versions long unused are given up."""
    draft.meta = draft.meta.saying(seen=_now())
    if not draft.meta.mine.built:
        return
    layouts = draft.meta.layouts
    gone = {name for name, facts in layouts.items() if facts.seen < _now() - ABANDONED}
    dead = {prefix(name, layouts[name]): _now() for name in gone}
    draft.meta = msgspec.structs.replace(
        draft.meta,
        layouts={name: facts for name, facts in layouts.items() if name not in gone},
        dead=draft.meta.dead | dead,
    )


def claim(draft: Draft, seconds: int) -> list[str]:
    """The dead prefixes that are due; nobody else gets them for so long."""
    now = _now()
    due = [prefix for prefix, when in draft.meta.dead.items() if when <= now]
    if due:
        later = dict.fromkeys(due, now + seconds)
        draft.meta = msgspec.structs.replace(draft.meta, dead=draft.meta.dead | later)
    return due


def bury(draft: Draft, prefixes: Iterable[str]) -> int:
    """Nothing stands at these any more; the serial up to which no version shows changes."""
    left = {prefix: when for prefix, when in draft.meta.dead.items() if prefix not in prefixes}
    draft.meta = msgspec.structs.replace(draft.meta, dead=left)
    return min((facts.since for facts in draft.meta.layouts.values()), default=0)


def _standing(
    draft: Draft, name: NormalizedName, held: File | None, file: File | None
) -> Standing | None:
    """The project's standing with ``file`` (None: forgotten), put already, for ``held``.

    Reckoned from this file alone, unless what it replaces may have been the newest.
    """
    known = draft.known(name)
    if known is None:
        raise errors.ProjectNotFound(name)
    standing, generation = known.standing, known.facts.generation
    before = newest.candidate(held) if held is not None and held.generation == generation else None
    if before and not (standing and newest.outshone(standing, before)):
        return _folded(generation, draft.every(name))
    if file is None or file.generation != generation:
        return standing
    return newest.joined(standing, newest.candidate(file))


def _folded(generation: str, files: Mapping[str, File]) -> Standing | None:
    return newest.fold(
        newest.candidate(file) for file in files.values() if file.generation == generation
    )


def _newer(
    files: Iterable[File], held: Mapping[str, File], untrue: AbstractSet[str]
) -> dict[str, File]:
    """The newest of each name, where it is newer than what is held."""
    found: dict[str, File] = {}
    for file in files:
        before = found.get(file.filename) or held.get(file.filename)
        if before is None or newest.gives_way(before, file, untrue):
            found[file.filename] = file
    return found


def _now() -> int:
    return int(time.time())

"""What a write does, given its transaction: the methods of Cache by the same names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from packaging.utils import NormalizedName

from app import errors
from app.cache import newest
from app.cache.newest import Standing
from app.cache.rows import Known, Newest
from app.cache.writing import Writing
from app.models import Change, File, Project

_PROJECTS = 200
"""Projects compared at once: each name is a parameter of a statement."""


@dataclass(frozen=True, slots=True)
class _Difference:
    """A project that the cache has not, or not so: the facts to hold, the newer files."""

    facts: Project
    serial: int
    files: Sequence[File]
    known: Known | None


def save(write: Writing, file: File, change: Change) -> int:
    known, held = write.known(file.project, file.filename)
    if known is None:
        raise errors.ProjectNotFound(file.project)
    if held is not None and not newest.gives_way(held, file):
        return newest.told(held, file, known.serial)
    serial = write.give(change)
    write.put_file(file, fresh=held is None)
    standing = write.standing(known, held, file)
    write.put_project(known.facts, serial, standing)
    return serial


def save_project(write: Writing, project: Project, change: Change) -> int:
    known, _ = write.known(project.name)
    if known is None:
        serial = write.give(change)
        write.put_project(project, serial, None, fresh=True)
        return serial
    if not newest.gives_way(known.facts, project):
        return newest.told(known.facts, project, known.serial)
    standing = known.standing
    if known.facts.generation != project.generation:
        standing = write.refold([project])[project.name]
    serial = write.give(change)
    write.put_project(project, serial, standing)
    return serial


def forget(write: Writing, name: NormalizedName, filename: str | None, change: Change) -> int:
    known, held = write.known(name, filename or "")
    if known is None:
        return 0
    if filename is None:
        write.drop_project(name)
        return write.give(change)
    if held is None:
        return known.serial
    serial = write.give(change)
    write.drop_files([(name, filename)])
    standing = write.standing(known, held, None)
    write.put_project(known.facts, serial, standing)
    return serial


def record(write: Writing, change: Change) -> int:
    return write.give(change)


def prune(write: Writing, below: int, change: Change) -> bool:
    return write.prune(below, change)


def clear(write: Writing, floor: int) -> int:
    write.drop_all()
    write.serial = max(write.serial, floor)
    return write.begin_anew()


def set_built(write: Writing, caught: int, era: int | None) -> None:
    write.say_built(caught, era)


def restore(
    write: Writing, projects: Sequence[Project], change: Change, untrue: AbstractSet[str]
) -> int:
    return sum(_restore(write, batch, change, untrue) for batch in _batches(projects))


def _batches(projects: Iterable[Project]) -> Iterator[dict[NormalizedName, Project]]:
    """By name; a project given twice is two batches' business."""
    batch: dict[NormalizedName, Project] = {}
    for project in projects:
        if len(batch) == _PROJECTS or project.name in batch:
            yield batch
            batch = {}
        batch[project.name] = project
    if batch:
        yield batch


def _restore(
    write: Writing,
    batch: dict[NormalizedName, Project],
    change: Change,
    untrue: AbstractSet[str],
) -> int:
    known = write.all_known(list(batch))
    held = write.events(list(known)) if known else {}
    differences = []
    for name, project in batch.items():
        newer = tuple(_newer(project.files, held, untrue))
        if difference := _compare(project, known.get(name), newer, untrue):
            write.serial = max(write.serial, difference.serial)
            given = write.give(replace(change, project=name))
            differences.append(replace(difference, serial=difference.serial or given))
    files = [file for difference in differences for file in difference.files]
    keys = ((file.project, file.filename) for file in files)
    write.drop_files(key for key in keys if key in held)
    write.add_files(files)
    write.add_projects(_fresh(differences))
    again = [difference for difference in differences if difference.known is not None]
    if again:
        standings = write.refold(difference.facts for difference in again)
        write.put_projects((d.facts, d.serial, standings[d.facts.name]) for d in again)
    return len(differences)


def _newer(
    files: Iterable[File],
    held: Mapping[tuple[NormalizedName, str], Newest],
    untrue: AbstractSet[str],
) -> Iterable[File]:
    """The newest of each name, where it is newer than what is held."""
    found: dict[str, File] = {}
    for file in files:
        before = found.get(file.filename) or held.get((file.project, file.filename))
        if before is None or newest.gives_way(before, file, untrue):
            found[file.filename] = file
    return found.values()


def _compare(
    project: Project, known: Known | None, newer: Sequence[File], untrue: AbstractSet[str]
) -> _Difference | None:
    """Its serial is 0 where that of the change is to be taken."""
    if known is None:
        return _Difference(project, project.serial, newer, None)
    if newest.gives_way(known.facts, project, untrue):
        return _Difference(project, 0, newer, known)
    return _Difference(known.facts, 0, newer, known) if newer else None


def _fresh(
    differences: Iterable[_Difference],
) -> Iterator[tuple[Project, int, Standing | None]]:
    for difference in differences:
        if difference.known is None:
            generation = difference.facts.generation
            current = (f for f in difference.files if f.generation == generation)
            standing = newest.fold(map(newest.candidate, current))
            yield difference.facts, difference.serial, standing

"""What a write comes to, given what the cache holds. Pure.

A plan is carried out only where the project is still of the edition that it was made upon.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import chain

from packaging.utils import NormalizedName

from app import errors
from app.cache import newest
from app.cache.base import NOTHING
from app.cache.newest import Standing
from app.cache.redis import records
from app.cache.redis.records import Held
from app.cache.redis.server import Word
from app.models import Change, File, Project


class Partial(Exception):
    """The other files of the project must be looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A change of one project; ``serial`` is the one it wants, 0 for that of its change.

    ``facts`` is None where the project is to be dropped, with all its files.
    """

    name: NormalizedName
    edition: bytes
    facts: Project | None = None
    standing: Standing | None = None
    serial: int = 0
    put: Mapping[bytes, bytes] = field(default_factory=dict)
    drop: tuple[bytes, ...] = ()

    def words(self, change: Change) -> list[Word]:
        """What ``commit.lua`` wants to be told of it."""
        line = newest.summary(self.facts, self.standing, 0) if self.facts else None
        put = records.meta(self.facts, self.standing) if self.facts else {}
        put |= self.put
        return [
            *(self.name, self.edition, self.serial, *records.cut(change)),
            *(records.cut(line) if line else ("", "")),
            line.summary.casefold() if line else "",
            *(0 if self.facts else 1, len(self.drop), len(put)),
            *self.drop,
            *chain.from_iterable(put.items()),
        ]


def save(held: Held, file: File) -> Plan | int:
    """The serial to be told where the cache has the same or a later event."""
    if held.facts is None:
        raise errors.ProjectNotFound(file.project)
    name = records.field_of(file.filename)
    before = held.files.get(name)
    if before is not None and not _gives_way(before, file, NOTHING):
        return held.serial if records.sequence_of(before) == file.sequence else 0
    put = {name: records.file_value(file)}
    standing = _standing(held, held.facts, name, file)
    return Plan(name=held.name, edition=held.edition, facts=held.facts, standing=standing, put=put)


def save_project(held: Held, project: Project) -> Plan | int:
    """The serial to be told where the cache has the same or a later event."""
    standing = held.standing
    if held.facts is not None:
        if not newest.gives_way(held.facts, project):
            return newest.told(held.facts, project, held.serial)
        if held.facts.generation != project.generation:
            standing = _refold(held, project, {})
    return Plan(name=held.name, edition=held.edition, facts=project, standing=standing)


def forget(held: Held, filename: str | None) -> Plan | None:
    """None where there is nothing of the kind."""
    if held.facts is None:
        return None
    if filename is None:
        return Plan(name=held.name, edition=held.edition)
    name = records.field_of(filename)
    if name not in held.files:
        return None
    standing = _standing(held, held.facts, name, None)
    return Plan(
        name=held.name, edition=held.edition, facts=held.facts, standing=standing, drop=(name,)
    )


def restore(held: Held, project: Project, untrue: AbstractSet[str]) -> Plan | None:
    """None where the cache agrees with the project, of which it has all files at hand."""
    newer = _newer(held, project.files, untrue)
    facts = held.facts
    if facts is None or newest.gives_way(facts, project, untrue):
        facts = project
    elif not newer:
        return None
    return Plan(
        name=held.name,
        edition=held.edition,
        facts=facts,
        standing=_refold(held, facts, newer),
        serial=project.serial if held.facts is None else 0,
        put={name: records.file_value(file) for name, file in newer.items()},
    )


def _newer(held: Held, files: Iterable[File], untrue: AbstractSet[str]) -> dict[bytes, File]:
    """The newest of each name, where it is newer than what is held."""
    found: dict[bytes, File] = {}
    for file in files:
        name = records.field_of(file.filename)
        if name in found:
            newer = newest.gives_way(found[name], file, untrue)
        else:
            newer = name not in held.files or _gives_way(held.files[name], file, untrue)
        if newer:
            found[name] = file
    return found


def _gives_way(value: bytes, file: File, untrue: AbstractSet[str]) -> bool:
    """See newest.gives_way; decoded only where the numbers do not decide."""
    sequence = records.sequence_of(value)
    if sequence < file.sequence or (sequence > file.sequence and not untrue):
        return sequence < file.sequence
    (before,) = records.files([value])
    return newest.gives_way(before, file, untrue)


def _standing(held: Held, facts: Project, name: bytes, file: File | None) -> Standing | None:
    """With ``file`` (None: forgotten) under this name.

    Reckoned from this file alone, unless what it replaces may have been the newest.
    """
    generation = facts.generation
    for before in records.files(held.files[name] for name in (name,) if name in held.files):
        if before.generation == generation:
            standing = held.standing
            if not (standing and newest.outshone(standing, newest.candidate(before))):
                return _refold(held, facts, {name: file})
    if file is None or file.generation != generation:
        return held.standing
    return newest.joined(held.standing, newest.candidate(file))


def _refold(held: Held, facts: Project, news: Mapping[bytes, File | None]) -> Standing | None:
    if not held.whole:
        raise Partial
    others = records.files(value for name, value in held.files.items() if name not in news)
    files = chain(others, (file for file in news.values() if file is not None))
    return newest.fold(newest.candidate(f) for f in files if f.generation == facts.generation)

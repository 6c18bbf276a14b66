"""Two releases side by side: what their metadata and their archives differ in. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

from app.models import File, Kind
from app.web.archives import Member
from app.web.facts import Dependency, Facts, Link

_UNTOLD = frozenset({"described", "description_type"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What only one of the two has; ``what`` is a field of the metadata."""

    what: str
    removed: tuple[str, ...]
    added: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resized:
    """A member that both have, with another size."""

    name: str
    before: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How the second release differs from the first; files by their names in the archive.

    ``cut``: there are more of them than are told.
    """

    facts: Sequence[Difference]
    removed: Sequence[Member]
    added: Sequence[Member]
    resized: Sequence[Resized]
    same: int
    cut: bool


class Archive(NamedTuple):
    """What is in a file of a release."""

    members: Sequence[Member]
    version: str


def compare(
    before: Facts, after: Facts, former: Archive, newer: Archive, *, most: int
) -> Comparison:
    """The differences, at most so many files of each kind.

    Directories that are named by the version count as the same.
    """
    old = {one.name: one for one in unversioned(*former)}
    new = {one.name: one for one in unversioned(*newer)}
    both = sorted(old.keys() & new.keys())
    resized = [
        Resized(name=name, before=old[name].size, after=new[name].size)
        for name in both
        if old[name].size != new[name].size
    ]
    removed = [old[name] for name in sorted(old.keys() - new.keys())]
    added = [new[name] for name in sorted(new.keys() - old.keys())]
    return Comparison(
        facts=list(_differences(before, after)),
        removed=removed[:most],
        added=added[:most],
        resized=resized[:most],
        same=len(both) - len(resized),
        cut=any(len(found) > most for found in (removed, added, resized)),
    )


def unversioned(members: Iterable[Member], version: str) -> list[Member]:
    """The members, the version in their first directory's name replaced."""
    found = []
    for one in members:
        top, slash, rest = one.name.partition("/")
        plain = top.replace(f"-{version}", "-VERSION") if slash else top
        found.append(Member(name=f"{plain}{slash}{rest}", size=one.size))
    return found


def counterparts(former: Sequence[File], newer: Sequence[File]) -> tuple[File, File]:
    """A file of each that may be compared: of the same tags, else of the same kind, else any."""
    for one in newer:
        for other in former:
            if _tail(one) == _tail(other):
                return other, one
    for kind in (Kind.SDIST, Kind.WHEEL):
        old = next((file for file in former if file.kind is kind), None)
        new = next((file for file in newer if file.kind is kind), None)
        if old is not None and new is not None:
            return old, new
    return former[0], newer[0]


def _tail(file: File) -> str:
    return "sdist" if file.kind is Kind.SDIST else "-".join(file.filename.split("-")[-3:])


def _differences(before: Facts, after: Facts) -> Iterable[Difference]:
    for field in fields(Facts):
        if field.name in _UNTOLD:
            continue
        old = _texts(getattr(before, field.name))
        new = _texts(getattr(after, field.name))
        if old != new:
            yield Difference(
                what=field.name.replace("_", " "),
                removed=tuple(text for text in old if text not in new),
                added=tuple(text for text in new if text not in old),
            )


def _texts(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, tuple) else (value,)
    return tuple(_text(one) for one in values if one)


def _text(value: object) -> str:
    if isinstance(value, Dependency):
        return value.text
    return f"{value.label}: {value.url}" if isinstance(value, Link) else str(value)

"""Between the nouns and the rows of ``schema``: what is written, and how it is read back."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from itertools import chain
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row

from app.cache import newest
from app.cache.newest import Candidate, Standing
from app.models import Actor, Change, File, FileState, Hashes, Kind, Project, ProjectSummary, Status

_encode = msgspec.json.Encoder().encode
_decode_facts = msgspec.json.Decoder(Project).decode
_decode_standing = msgspec.json.Decoder(Standing).decode
_decode_candidate = msgspec.json.Decoder(Candidate).decode
_decode_candidates = msgspec.json.Decoder(list[Candidate]).decode
_decode_files = msgspec.json.Decoder(tuple[File, ...]).decode
_decode_lines = msgspec.json.Decoder(list[ProjectSummary]).decode
_decode_changes = msgspec.json.Decoder(list[Change]).decode


AnyRow = Row[*tuple[Any, ...]]
_ROWS = 1000
"""Rows decoded at once; in between the event loop has its turn."""

_WRITTEN = (File, Project, ProjectSummary, Candidate, Standing, Hashes, Actor)
_SPELLED: Sequence[type[StrEnum]] = (Kind, FileState, Status)
_LAYOUT = 3
"""To be raised when the tables change, or what their columns mean."""
NUL = "\uffff"
"""Takes the place of NUL: PostgreSQL has none in a text, and SQLite's LIKE ends there."""
_SHAPES = [
    *(f"{noun.__name__}.{field.name}: {field.type}" for noun in _WRITTEN for field in fields(noun)),
    *(f"{noun.__name__}.{value}" for noun in _SPELLED for value in noun),
]
VERSION = zlib.crc32("\n".join([str(_LAYOUT), *_SHAPES]).encode())
"""Differs from that of rows which may not be readable: a field came, a state went."""


@dataclass(frozen=True, slots=True)
class Known:
    """A project as the cache has it, without its files."""

    facts: Project
    serial: int
    standing: Standing | None


@dataclass(frozen=True, slots=True)
class Held:
    """A file as the cache has it, cut down."""

    sequence: int
    head: str
    generation: str
    candidate: Candidate


class Newest(NamedTuple):
    """The newest event of a file that the cache has."""

    sequence: int
    head: str


def project_row(project: Project, serial: int, standing: Standing | None) -> dict[str, object]:
    """A row of ``schema.projects``; the project's files and serial are not looked at."""
    line = newest.summary(project, standing, serial)
    return {
        "name": project.name,
        "sequence": project.sequence,
        "serial": serial,
        "facts": _encode(replace(project, serial=0, files=())),
        "standing": None if standing is None else _encode(standing),
        "line": None if line is None else _encode(line),
        "folded": None if line is None else line.summary.casefold().replace("\0", NUL),
    }


def file_row(file: File) -> dict[str, object]:
    """A row of ``schema.files``."""
    return {
        "project": file.project,
        "filename": file.filename,
        "sequence": file.sequence,
        "head": file.head.encode(),
        "generation": file.generation,
        "candidate": _encode(newest.candidate(file)),
        "body": _encode(file),
    }


def change_row(change: Change) -> dict[str, object]:
    """A row of ``schema.history``, but for the layout.

    Other versions read it: later fields of a Change need defaults.
    """
    return {"serial": change.serial, "project": change.project, "body": _encode(change)}


def known(row: AnyRow) -> Known:
    """From the columns ``facts``, ``serial`` and ``standing``."""
    standing = None if row.standing is None else _decode_standing(row.standing)
    return Known(_decode_facts(row.facts), row.serial, standing)


def held(row: AnyRow) -> Held | None:
    """From the columns of an outer join that are named as the fields."""
    if row.sequence is None:
        return None
    candidate = _decode_candidate(row.candidate)
    return Held(row.sequence, row.head.decode(), row.generation, candidate)


def newest_event(row: AnyRow) -> Newest:
    """From the columns ``sequence`` and ``head``."""
    return Newest(row.sequence, row.head.decode())


def project(facts: bytes, serial: int, files: tuple[File, ...]) -> Project:
    """From the columns ``facts`` and ``serial``, and its files."""
    return replace(_decode_facts(facts), serial=serial, files=files)


def candidates(column: Iterable[bytes]) -> list[Candidate]:
    """From the column ``candidate``."""
    return _decode_candidates(_joined(column))


def files(column: Iterable[bytes]) -> tuple[File, ...]:
    """From the column ``files.body``."""
    return _decode_files(_joined(column))


def summaries(column: Iterable[bytes]) -> list[ProjectSummary]:
    """From the column ``line``."""
    return _decode_lines(_joined(column))


def changes(column: Iterable[bytes]) -> list[Change]:
    """From the column ``history.body``."""
    return _decode_changes(_joined(column))


def _joined(column: Iterable[bytes]) -> bytes:
    """One JSON list: decoded at once it takes half the time of decoding each."""
    return b"[" + b",".join(column) + b"]"


async def folded(found: Sequence[AnyRow]) -> Project | None:
    """A project of its rows: its own has a serial, those of files a negative number."""
    facts = [(body, serial) for serial, body in found if serial >= 0]
    if not facts:
        return None
    bodies = [body for serial, body in found if serial < 0]
    parts = [files(part) async for part in _in_turns(bodies)]
    return project(*facts[0], files=tuple(chain.from_iterable(parts)))


async def listed(lines: Sequence[bytes]) -> list[ProjectSummary]:
    """The list of projects of its lines."""
    parts = [summaries(part) async for part in _in_turns(lines)]
    return list(chain.from_iterable(parts))


async def past(bodies: Sequence[bytes]) -> list[Change]:
    """Changes of their rows."""
    parts = [changes(part) async for part in _in_turns(bodies)]
    return list(chain.from_iterable(parts))


async def _in_turns(column: Sequence[bytes]) -> AsyncIterator[Sequence[bytes]]:
    """The column in parts; between them the event loop has its turn."""
    for start in range(0, len(column), _ROWS):
        if start:
            await asyncio.sleep(0)
        yield column[start : start + _ROWS]

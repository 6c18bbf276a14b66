"""Between the nouns and what Redis holds of them."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

import msgspec
from packaging.utils import NormalizedName

from app.cache.newest import Candidate, Standing
from app.models import Actor, Change, File, FileState, Hashes, Kind, Project, ProjectSummary, Status

_encode = msgspec.json.Encoder().encode
_decode_facts = msgspec.json.Decoder(Project).decode
_decode_standing = msgspec.json.Decoder(Standing | None).decode
_decode_files = msgspec.json.Decoder(list[File]).decode
_decode_lines = msgspec.json.Decoder(list[ProjectSummary]).decode
_decode_changes = msgspec.json.Decoder(list[Change]).decode

_WRITTEN = (File, Project, ProjectSummary, Change, Candidate, Standing, Hashes, Actor)
_SPELLED: Sequence[type[StrEnum]] = (Kind, FileState, Status)
_FORM = 1
"""To be raised when the keys change, or what they mean."""
_SHAPES = [
    *(f"{noun.__name__}.{field.name}: {field.type}" for noun in _WRITTEN for field in fields(noun)),
    *(f"{noun.__name__}.{value}" for noun in _SPELLED for value in noun),
]
LAYOUT = f"{zlib.crc32(chr(10).join([str(_FORM), *_SHAPES]).encode()):08x}"
"""Differs from that of keys which may not be readable: a field came, a state went."""

_FACTS, _SERIAL, _EDITION, _STANDING = b"facts", b"serial", b"edition", b"standing"
META = (_FACTS, _SERIAL, _EDITION, _STANDING)
"""The fields of a project that are no file's."""
_FILE = b"f/"
_DIGITS = 20
"""A file's event number stands before its JSON, so that it is compared without decoding."""
_TOGETHER = 1000
"""So many are decoded at once; in between the event loop has its turn."""


@dataclass(frozen=True, slots=True)
class Held:
    """A project as Redis has it, with those of its files that were asked for.

    ``edition`` changes with every write, and is empty where the project is not known;
    ``files`` are encoded, by field; ``whole`` says that it is all of them.
    """

    name: NormalizedName
    edition: bytes
    serial: int
    facts: Project | None
    standing: Standing | None
    files: Mapping[bytes, bytes]
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The names of the keys, all with one hash tag: a cluster keeps them together."""

    prefix: str
    layout: str
    era: str

    @property
    def root(self) -> str:
        """The serial of all layouts, and the facts of each."""
        return f"{{{self.prefix}}}"

    @property
    def dead(self) -> str:
        """The eras that are over and not yet swept away, as LAYOUT:ERA."""
        return f"{{{self.prefix}}}:dead"

    @property
    def index(self) -> tuple[str, ...]:
        """What every script is given; see ``common.lua``."""
        return self.root, *map(self._of_era, ("shown", "texts", "lines", "changes"))

    def project(self, name: str) -> str:
        """The hash of one project."""
        return self._of_era(f"p/{name}")

    @property
    def era_field(self) -> str:
        """Where the root names the present era."""
        return f"{self.layout}.era"

    def fact(self, name: str) -> str:
        """Where the root has another fact of this layout."""
        return f"{self.layout}.{name}"

    def _of_era(self, name: str) -> str:
        return f"{{{self.prefix}}}:{self.layout}:{self.era}:{name}"


def field_of(filename: str) -> bytes:
    """The field of a file in its project's hash."""
    return _FILE + encoded(filename)


def encoded(text: str) -> bytes:
    """For Redis; what is no text at all is not found, and breaks nothing."""
    return text.encode("utf-8", "surrogatepass")


def held(
    name: NormalizedName, meta: Sequence[Any], files: Mapping[bytes, bytes], *, whole: bool
) -> Held:
    """From the values of META."""
    facts, serial, edition, standing = meta
    return Held(
        name,
        edition or b"",
        int(serial or 0),
        None if facts is None else _decode_facts(facts),
        None if standing is None else _decode_standing(standing),
        files,
        whole,
    )


def whole(name: NormalizedName, found: Mapping[bytes, bytes]) -> Held:
    """From all that Redis has of a project."""
    files = {field: value for field, value in found.items() if field.startswith(_FILE)}
    return held(name, [found.get(field) for field in META], files, whole=True)


def meta(facts: Project, standing: Standing | None) -> dict[bytes, bytes]:
    """The fields of a project that a script does not write by itself."""
    stripped = _encode(replace(facts, serial=0, files=()))
    return {_FACTS: stripped, _STANDING: _encode(standing)}


def file_value(file: File) -> bytes:
    """A file."""
    return b"%0*d" % (_DIGITS, file.sequence) + _encode(file)


def sequence_of(value: bytes) -> int:
    """The number of the newest event of a file."""
    return int(value[:_DIGITS])


def files(values: Iterable[bytes]) -> list[File]:
    """From what ``file_value`` made."""
    return _decode_files(_joined(value[_DIGITS:] for value in values))


async def files_in_turns(values: Sequence[bytes]) -> list[File]:
    """The same for many."""
    return [file async for part in _parts(values) for file in files(part)]


async def summaries(lines: Sequence[bytes]) -> list[ProjectSummary]:
    """Lines of the list."""
    return [line async for part in _parts(lines) for line in _decode_lines(_joined(part))]


def changes(bodies: Sequence[bytes]) -> list[Change]:
    """Changes."""
    return _decode_changes(_joined(bodies))


def cut(noun: ProjectSummary | Change) -> tuple[bytes, bytes]:
    """Its JSON, before and after its serial, which Redis gives.

    Within a string of JSON the quotes would be escaped, so the key is found but once.
    """
    before, key, after = _encode(replace(noun, serial=0)).partition(b'"serial":0')
    return before + key[:-1], after


async def _parts(values: Sequence[bytes]) -> AsyncIterator[Sequence[bytes]]:
    for start in range(0, len(values), _TOGETHER):
        if start:
            await asyncio.sleep(0)
        yield values[start : start + _TOGETHER]


def _joined(values: Iterable[bytes]) -> bytes:
    """One JSON list: decoded at once it takes half the time of decoding each."""
    return b"[" + b",".join(values) + b"]"

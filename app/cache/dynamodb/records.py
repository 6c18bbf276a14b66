"""What stands in the table: keys, and between the nouns and the bodies of items.

One item, META, is the lock of every write. The items of projects and files begin with a
prefix of the layout and its epoch, so that a new version of them, or a cleared cache, begins
with nothing. Projects are spread over partitions by name, to be listed from a few; the files
of one project stand side by side in one. A project names the incarnation that its files bear:
what bears another one is not there yet, or not there any more.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import fields
from enum import StrEnum
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, Self, TypeVar

import msgspec
from packaging.utils import NormalizedName

from app import errors
from app.cache.newest import Candidate, Standing
from app.dynamodb.keys import BODY, REVISION, SORT, Item, Key, key_of
from app.models import Actor, Change, File, FileState, Hashes, Kind, Project, Status

P = ParamSpec("P")
T = TypeVar("T")

FILE_SHARDS = 64
LIST_SHARDS = 8
"""Partitions of files, and of projects."""
META = ("meta", "meta")
CHANGES = "changes"
UNKNOWN = -1

_WRITTEN = (File, Project, Candidate, Standing, Hashes, Actor)
_SPELLED: tuple[type[StrEnum], ...] = (Kind, FileState, Status)
_LAYOUT = 1
"""To be raised when the items change, or what their bodies mean."""
_SHAPES = [
    *(f"{noun.__name__}.{field.name}: {field.type}" for noun in _WRITTEN for field in fields(noun)),
    *(f"{noun.__name__}.{value}" for noun in _SPELLED for value in noun),
]
LAYOUT = f"{zlib.crc32(chr(10).join([str(_LAYOUT), *_SHAPES]).encode()):08x}"
"""Differs from that of items which may not be readable: a field came, a state went."""


class Layout(msgspec.Struct, frozen=True):
    """What is to be said of one layout's items; ``seen`` is in seconds since 1970.

    It shows the changes above ``since``, has missed nothing of other layouts up to ``caught``,
    and wrote a project's change last at ``wrote``. ``shown`` is UNKNOWN where the project
    that had the greatest serial is gone.
    """

    epoch: int = 0
    built: bool = False
    since: int = 0
    caught: int = 0
    shown: int = 0
    wrote: int = 0
    seen: int = 0


class Meta(msgspec.Struct, frozen=True):
    """The item META. ``tail`` is the key of the last item of changes.

    ``dead`` are prefixes of items that nobody reads any more, with the time from which
    somebody may remove them. ``pruned`` stands for the changes up to its serial.
    """

    serial: int = 0
    tail: int = 0
    layouts: dict[str, Layout] = {}
    dead: dict[str, int] = {}
    pruned: Change | None = None

    @property
    def mine(self) -> Layout:
        """This version's."""
        return self.layouts.get(LAYOUT, Layout())

    @property
    def prefix(self) -> str:
        """How the keys of this version's items begin."""
        return prefix(LAYOUT, self.mine)

    @property
    def era(self) -> tuple[int, int]:
        """Differs after every ``clear``, and where the table was made anew: clear and since."""
        return self.mine.epoch, self.mine.since

    def saying(self, **facts: Any) -> Self:
        """The same, with other facts of this version."""
        mine = msgspec.structs.replace(self.mine, **facts)
        return msgspec.structs.replace(self, layouts={**self.layouts, LAYOUT: mine})


class Known(msgspec.Struct, frozen=True):
    """A project without its files; ``count`` and ``mark`` tell whether all of them were read."""

    facts: Project
    serial: int
    standing: Standing | None
    incarnation: str
    count: int = 0
    mark: int = 0


class Kept(NamedTuple):
    """Something read, and the revision that wrote it."""

    value: Any
    revision: int


class Passage(msgspec.Struct, frozen=True):
    """Changes that were written at once; ``before`` is the key of the item before this one."""

    before: int
    layout: str
    changes: tuple[Change, ...]


encode = msgspec.json.Encoder().encode
_decode_meta = msgspec.json.Decoder(Meta).decode
_decode_known = msgspec.json.Decoder(Known).decode
_decode_knowns = msgspec.json.Decoder(list[Known]).decode
_decode_files = msgspec.json.Decoder(list[File]).decode
_decode_passage = msgspec.json.Decoder(Passage).decode


def prefix(layout: str, facts: Layout) -> str:
    """How the keys of a layout's items begin."""
    return f"{layout}.{facts.epoch}"


def project_key(prefix: str, name: str) -> Key:
    """Where a project stands."""
    return f"{prefix}#projects#{zlib.crc32(name.encode()) % LIST_SHARDS}", name


def file_key(prefix: str, name: NormalizedName, filename: str, incarnation: str) -> Key:
    """Where a file stands; up to its last slash it is the same in every incarnation."""
    return files_part(prefix, name), f"{name}/{filename}/{incarnation}"


def files_part(prefix: str, name: NormalizedName) -> str:
    """The partition in which the files of a project stand, each at ``name/…``."""
    return f"{prefix}#files#{zlib.crc32(name.encode()) % FILE_SHARDS}"


def list_parts(prefix: str) -> list[str]:
    """The partitions that list the projects."""
    return [f"{prefix}#projects#{shard}" for shard in range(LIST_SHARDS)]


def every_part(prefix: str) -> list[str]:
    """All partitions with this prefix."""
    return [*list_parts(prefix), *(f"{prefix}#files#{shard}" for shard in range(FILE_SHARDS))]


def change_key(serial: int) -> Key:
    """Where the changes up to this serial stand; keys ascend as the serials do."""
    return CHANGES, f"{serial:020d}"


def item(key: Key, revision: int, body: object) -> dict[str, Any]:
    """An item to put."""
    return key_of(key) | {REVISION: {"N": str(revision)}, BODY: {"B": encode(body)}}


def _readable(decoded: Callable[P, T]) -> Callable[P, T]:
    """An item that somebody else has touched makes the cache unavailable."""

    @wraps(decoded)
    def read(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return decoded(*args, **kwargs)
        except (msgspec.MsgspecError, KeyError, ValueError) as why:
            raise errors.CacheUnavailable(
                "DynamoDB holds an item that cannot be read; remove the table and reindex"
            ) from why

    return read


@_readable
def meta(found: Item) -> Meta:
    """From the item META."""
    return _decode_meta(found[BODY]["B"])


@_readable
def known(found: Item) -> Known:
    """From the item of a project."""
    return _decode_known(found[BODY]["B"])


@_readable
def knowns(found: Iterable[Item]) -> list[Known]:
    """The same of many; decoded at once it takes half the time."""
    return _decode_knowns(_joined(found))


@_readable
def files(found: Iterable[Item]) -> list[File]:
    """From items of files."""
    return _decode_files(_joined(found))


@_readable
def passage(found: Item) -> Passage:
    """From an item of changes."""
    return _decode_passage(found[BODY]["B"])


def incarnation(found: Item) -> str:
    """That of a file's item."""
    return str(found[SORT]["S"]).rpartition("/")[2]


def mark(revision: int) -> int:
    """What a file that this revision wrote adds to Known.mark, modulo 2**63."""
    mixed = revision * 0x9E3779B97F4A7C15 % 2**64
    return (mixed ^ mixed >> 29) * 0xBF58476D1CE4E5B9 % 2**63


def _joined(found: Iterable[Item]) -> bytes:
    return b"[" + b",".join(one[BODY]["B"] for one in found) + b"]"

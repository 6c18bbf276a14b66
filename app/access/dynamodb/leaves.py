"""The book as it stands in the table: one item that is its head, and leaves.

The head says which revision wrote each leaf. A write replaces, in one transaction, the head
and the leaves that differ, so whoever reads the head knows whether what they remember holds,
and which leaves to read if it does not. The leaves are few, for a transaction has at most a
hundred items, and packed, for an item has at most 400 KB.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from packaging.utils import NormalizedName

from app import errors
from app.access.base import Grants
from app.access.book import Book, Person, Where
from app.dynamodb.keys import BODY, REVISION, Item, Key, key_of, revision_in
from app.models import Permission

COUNT = 64
"""Leaves of a book."""
LARGEST = 390_000
"""Bytes of a packed leaf; of an item, 409,600 with its keys."""
PART = "book"
HEAD: Key = (PART, "head")
LAYOUT = 1


class Head(msgspec.Struct, frozen=True):
    """The revision of the book, and those that wrote its leaves; 0: not written yet."""

    revision: int = 0
    leaves: tuple[int, ...] = (0,) * COUNT
    registration: bool = False
    layout: int = LAYOUT


class Leaf(msgspec.Struct, frozen=True):
    """Some of the users, groups and grants; the latter by project, a slash, and generation."""

    users: dict[str, Person] = {}
    groups: dict[str, frozenset[str]] = {}
    grants: dict[str, dict[str, frozenset[Permission]]] = {}


_encode = msgspec.json.Encoder().encode
_decode_head = msgspec.json.Decoder(Head).decode
_decode_leaf = msgspec.json.Decoder(Leaf).decode


def leaf_key(number: int) -> Key:
    """Where a leaf stands."""
    return PART, f"leaf/{number:02d}"


def item(key: Key, revision: int, body: bytes) -> dict[str, Any]:
    """An item to put."""
    return key_of(key) | {REVISION: {"N": str(revision)}, BODY: {"B": body}}


def head_item(head: Head) -> dict[str, Any]:
    """The item of the head."""
    return item(HEAD, head.revision, _encode(head))


def leaf_item(number: int, revision: int, leaf: Leaf) -> dict[str, Any]:
    """The item of a leaf; errors.TooLarge where it is none any more."""
    packed = zlib.compress(_encode(leaf))
    if len(packed) > LARGEST:
        raise errors.TooLarge("So many users, groups and grants do not fit into DynamoDB.")
    return item(leaf_key(number), revision, packed)


def head_in(found: Item | None) -> Head:
    """The head; that of an empty book where there is none yet."""
    if found is None:
        return Head()
    try:
        head = _decode_head(found[BODY]["B"])
    except (msgspec.MsgspecError, KeyError) as why:
        raise _unreadable() from why
    if head.layout != LAYOUT or len(head.leaves) != COUNT:
        raise errors.AccessUnavailable(
            "The users are kept in the layout of a later release; upgrade this one."
        )
    return head


def leaf_in(found: Item) -> tuple[int, Leaf]:
    """A leaf, and the revision that wrote it."""
    try:
        return revision_in(found), _decode_leaf(zlib.decompress(found[BODY]["B"]))
    except (msgspec.MsgspecError, zlib.error, KeyError, ValueError) as why:
        raise _unreadable() from why


def bound(leaves: Iterable[Leaf], head: Head) -> Book:
    """The book of these leaves."""
    users: dict[str, Person] = {}
    groups: dict[str, frozenset[str]] = {}
    grants: dict[Where, Grants] = {}
    for leaf in leaves:
        users |= leaf.users
        groups |= leaf.groups
        grants |= {_where(key): granted for key, granted in leaf.grants.items()}
    return Book(users=users, groups=groups, grants=grants, registration=head.registration)


def differing(before: Book, after: Book) -> dict[int, Leaf]:
    """The leaves of ``after`` that are others than those of ``before``."""
    numbers = {
        *(_number("u", name) for name in _changed(before.users, after.users)),
        *(_number("g", name) for name in _changed(before.groups, after.groups)),
        *(_number("p", where[0]) for where in _changed(before.grants, after.grants)),
    }
    if not numbers:
        return {}
    leaves = {number: Leaf(users={}, groups={}, grants={}) for number in numbers}
    for name, person in after.users.items():
        if (number := _number("u", name)) in leaves:
            leaves[number].users[name] = person
    for name, members in after.groups.items():
        if (number := _number("g", name)) in leaves:
            leaves[number].groups[name] = members
    for (project, generation), granted in after.grants.items():
        if (number := _number("p", project)) in leaves:
            leaves[number].grants[f"{project}/{generation}"] = dict(granted)
    return leaves


def _changed(before: Any, after: Any) -> Sequence[Any]:
    return [
        key for key in {**before, **after} if key not in before or before[key] != after.get(key)
    ]


def _number(kind: str, name: str) -> int:
    return zlib.crc32(f"{kind}{name}".encode()) % COUNT


def _where(key: str) -> Where:
    project, _, generation = key.partition("/")
    return NormalizedName(project), generation


def _unreadable() -> errors.AccessUnavailable:
    return errors.AccessUnavailable("DynamoDB holds users and grants that cannot be read.")

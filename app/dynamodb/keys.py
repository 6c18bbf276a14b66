"""Items by their two keys, as the SDK has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PART, SORT, REVISION, BODY = "pk", "sk", "rev", "body"
"""The attributes of an item: its two keys, the revision that wrote it, what it says."""

Item = Mapping[str, Any]
"""As the SDK has it: ``{"pk": {"S": …}, …}``."""
Key = tuple[str, str]


def key_of(key: Key) -> dict[str, Any]:
    """The key, as the SDK has it."""
    return {PART: {"S": key[0]}, SORT: {"S": key[1]}}


def key_in(found: Item) -> Key:
    """The key of an item."""
    return found[PART]["S"], found[SORT]["S"]


def revision_in(found: Item) -> int:
    """The revision that wrote an item."""
    return int(found[REVISION]["N"])

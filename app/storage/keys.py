"""What a key may look like: the grammar of the Storage protocol, the same for every backend."""

from __future__ import annotations

import re

MAX_KEY = 1024
"""Bytes of a whole key: the least that the object stores allow."""

MAX_SEGMENT = 255
"""Bytes between two slashes: what file systems allow for one name."""

# Printable ASCII; a backslash is a slash to some stores.
_CHARACTERS = re.compile(r"[ -.0-\[\]-~]*")


def check(key: str) -> str:
    """The key itself, or ValueError where it breaks the grammar.

    Segments of printable ASCII (no backslash), joined by ``/``, none of them empty, ``.``,
    ``..`` or longer than MAX_SEGMENT; the first one does not begin with a dot, for such
    names belong to the backends.
    """
    if not 0 < len(key) <= MAX_KEY or key[0] == "." or not all(map(is_segment, key.split("/"))):
        raise ValueError(f"not a key: {key!r:.100}")
    return key


def check_prefix(prefix: str) -> str:
    """The prefix itself, or ValueError where no key can begin with it."""
    folder, slash, rest = prefix.rpartition("/")
    if slash:
        check(folder)
    if prefix.startswith(".") or len(rest) > MAX_SEGMENT or not _CHARACTERS.fullmatch(rest):
        raise ValueError(f"no key begins with {prefix!r:.100}")
    return prefix


def check_range(start: int, end: int | None) -> None:
    """ValueError where a range of bytes counts from before the first one."""
    if start < 0 or (end is not None and end < 0):
        raise ValueError(f"not a range of bytes: {start} to {end}")


def is_segment(name: str) -> bool:
    """Whether ``name`` may stand between two slashes of a key."""
    return (
        0 < len(name) <= MAX_SEGMENT
        and name not in (".", "..")
        and _CHARACTERS.fullmatch(name) is not None
    )

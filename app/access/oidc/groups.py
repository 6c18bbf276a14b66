"""Groups that a provider rules: which it says somebody has, in our spelling. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from app import errors
from app.access.principals import group_name

MOST = 1000
"""Groups of one claim that are looked at."""


def ruled(group: str, patterns: Sequence[str]) -> bool:
    """Whether the provider decides who is in a group of ours."""
    return any(fnmatchcase(group, pattern.lower()) for pattern in patterns)


def claimed(claim: object, patterns: Sequence[str]) -> frozenset[str]:
    """The groups of a claim that the provider rules; none where it is no list.

    A slash before the name, with which some providers begin a path, is none of it. What cannot
    be a group's name here is passed over.
    """
    found = set()
    for text in claim[:MOST] if isinstance(claim, list) else ():
        try:
            name = group_name(text.removeprefix("/")) if isinstance(text, str) else ""
        except errors.InvalidName:
            continue
        if name and ruled(name, patterns):
            found.add(name)
    return frozenset(found)

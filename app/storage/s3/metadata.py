"""User metadata of objects, in the spelling of PyPICloud, and what we keep beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ATTEMPT = "attempt"
"""Names the write that wrote an object, so that it is known again after a lost answer."""
SHA256 = "content-sha256"
"""That of the whole object, for the store keeps none of what came in parts."""
ROOM = 1900
"""Bytes of names and values that fit, with ours, into the 2048 of S3."""

_OURS = (ATTEMPT, SHA256)


def written(metadata: Mapping[str, str], *, attempt: str, sha256: str) -> dict[str, str]:
    """What to send: the metadata with ``-`` for ``_``, or none of it, and ours."""
    ours = {ATTEMPT: attempt, SHA256: sha256}
    theirs = {name.replace("_", "-"): value for name, value in metadata.items()}
    size = sum(len(name) + len(value) for name, value in theirs.items())
    whole = len(theirs) == len(metadata) and theirs.keys().isdisjoint(ours)
    if whole and size <= ROOM and all(_fits(*pair) for pair in metadata.items()):
        return theirs | ours
    return ours


def wrote(found: Mapping[str, Any], attempt: str) -> bool:
    """Whether the object that HEAD found was written by this attempt."""
    metadata: Mapping[str, str] = found["Metadata"]
    return metadata.get(ATTEMPT) == attempt


def recorded(kept: Mapping[str, str]) -> bytes | None:
    """The sha256 that we wrote with an object; None for the objects of others."""
    try:
        return bytes.fromhex(kept[SHA256])
    except (KeyError, ValueError):
        return None


def read(kept: Mapping[str, str]) -> dict[str, str]:
    """What an object says of itself, with ``_`` for ``-``.

    Where both spellings are there, the one with ``_`` counts unless it is empty.
    """
    found: dict[str, str] = {}
    for name in sorted(kept, key=lambda name: "-" in name):
        if name not in _OURS:
            spelled = name.replace("-", "_")
            found[spelled] = found.get(spelled) or kept[name]
    return found


def _fits(name: str, value: str) -> bool:
    """Whether a pair comes back as it is given: headers lose case, and blanks at the ends."""
    plain = name.isascii() and name.replace("_", "").isalnum() and name == name.lower()
    return plain and value.isascii() and value.isprintable() and value == value.strip() != ""

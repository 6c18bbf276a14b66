"""Names and versions: one spelling for each, decided at the door.

The grammars are our own and plain ASCII; ``packaging`` parses behind them,
because its parsers are no validators (they let through, for instance,
U+212A KELVIN SIGN in a name).
"""

from __future__ import annotations

import re
from functools import lru_cache

from packaging.utils import NormalizedName, canonicalize_version
from packaging.version import InvalidVersion, Version

from app import errors

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,199}\Z")
_SEPARATORS = re.compile(r"[-_.]+")
NAME_LENGTH = 200
VERSION_LENGTH = 200

VersionKey = tuple[int, Version | str]


def normalize(name: str) -> NormalizedName:
    """The one spelling of a project's name (PEP 503).

    Raises errors.InvalidName for what the names specification does not allow.
    """
    if len(name) > NAME_LENGTH or not _NAME.match(name):
        raise errors.InvalidName(
            "A project name has ASCII letters, digits, '.', '_' and '-', begins and ends "
            f"with a letter or digit, and at most {NAME_LENGTH} characters."
        )
    return NormalizedName(_SEPARATORS.sub("-", name).lower())


def is_filename(filename: str) -> bool:
    """Whether this may be the filename of a distribution, or a key's last part."""
    return _FILENAME.match(filename) is not None


@lru_cache(maxsize=65_536)
def parse_version(version: str) -> Version | None:
    """The PEP 440 version, or None for what is not one."""
    if len(version) > VERSION_LENGTH or not version.isascii():
        return None
    try:
        return Version(version)
    except InvalidVersion:
        return None


def canonical_version(version: str) -> str:
    """Equal for versions that PEP 440 calls equal up to trailing zeros: ``1.0`` and ``1.0.0``.

    A version that is not PEP 440 stands for itself.
    """
    parsed = parse_version(version)
    if parsed is None:
        return version
    return canonicalize_version(parsed)


def rank(version: str, *, yanked: bool) -> tuple[int, VersionKey]:
    """Greatest for the newest release: final ones first, then pre-releases, then yanked ones."""
    parsed = parse_version(version)
    if yanked:
        grade = 0
    elif parsed is None or parsed.is_prerelease:
        grade = 1
    else:
        grade = 2
    return grade, version_key(version)


def version_key(version: str) -> VersionKey:
    """Sorts versions as PEP 440 does, what is not PEP 440 before all that is."""
    parsed = parse_version(version)
    return (0, version) if parsed is None else (1, parsed)

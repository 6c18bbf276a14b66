"""Core metadata: METADATA of a wheel, PKG-INFO of an sdist (PEP 241 to PEP 808)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import cast

from packaging.metadata import RawMetadata, parse_email
from packaging.utils import NormalizedName

from app import errors, names
from app.upload import headers
from app.upload.profile import Profile
from app.upload.quoting import quoted

_VERSIONS = {
    "1.0": (1, 0),
    "1.1": (1, 1),
    "1.2": (1, 2),
    "2.1": (2, 1),
    "2.2": (2, 2),
    "2.3": (2, 3),
    "2.4": (2, 4),
    "2.5": (2, 5),
    "2.6": (2, 6),
}
# It was never accepted, but files of its years say it.
_LEGACY_VERSIONS = {"2.0": (2, 0)}
_SINGLE = frozenset(
    {
        "author",
        "author-email",
        "description-content-type",
        "download-url",
        "home-page",
        "keywords",
        "license",
        "license-expression",
        "maintainer",
        "maintainer-email",
        "summary",
    }
)
_ABSENT = ("", "UNKNOWN")


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreMetadata:
    """What the metadata says. ``name`` is as its author spells it, ``version`` in normal form.

    ``raw`` has the values as ``packaging`` names them, without the description and without
    what is empty or UNKNOWN.
    """

    metadata_version: tuple[int, int]
    name: str
    project: NormalizedName
    version: str
    raw: RawMetadata

    @property
    def is_static(self) -> bool:
        """Nothing of it can change when an sdist is built (PEP 643; for 2.6, PEP 808)."""
        return self.metadata_version >= (2, 2) and "dynamic" not in self.raw


def parse(metadata: bytes, profile: Profile) -> CoreMetadata:
    """The metadata for the later rules to look at; takes up to a second for the largest.

    Raises errors.InvalidUpload when it cannot be read, or not by everybody alike.
    """
    walked = headers.walk(metadata, profile)
    raw, malformed = parse_email(str(walked))
    if profile == "strict":
        check_single(malformed)
        check_description(walked)
    present = _present(raw)
    metadata_version = check_metadata_version(present, profile)
    project, name = check_name(present)
    return CoreMetadata(
        metadata_version=metadata_version,
        name=name,
        project=project,
        version=check_version(present),
        raw=present,
    )


def check_single(malformed: Collection[str]) -> None:
    """Fields that are no lists occur once, and no label of a Project-URL twice."""
    for name in sorted(malformed):
        if name in _SINGLE:
            raise headers.refusal(f"it has more than one {name.title()}")
        if name == "project-url":
            raise errors.InvalidUpload("Project-URL: Two URLs have the same label.")


def check_description(walked: headers.Headers) -> None:
    """The description is a field or the body, not both, and not two of them (PEP 566)."""
    if walked.descriptions > 1:
        raise headers.refusal("it has more than one description")


def check_metadata_version(raw: RawMetadata, profile: Profile) -> tuple[int, int]:
    """A version of the specification that exists; in import 2.0 too (CNT-14)."""
    known = _VERSIONS if profile == "strict" else _VERSIONS | _LEGACY_VERSIONS
    given = raw.get("metadata_version", "")
    if given not in known:
        raise errors.InvalidUpload(
            f"Metadata-Version: {quoted(given)} is none of {', '.join(sorted(known))}."
        )
    return known[given]


def check_name(raw: RawMetadata) -> tuple[NormalizedName, str]:
    """The name, normalised and as it is spelled."""
    name = raw.get("name", "")
    try:
        return names.normalize(name), name
    except errors.InvalidName as error:
        raise errors.InvalidUpload(f"Name: {quoted(name)} is not valid. {error}") from error


def check_version(raw: RawMetadata) -> str:
    """The version, in PEP 440's normal form."""
    version = raw.get("version", "")
    parsed = names.parse_version(version)
    if parsed is None:
        raise errors.InvalidUpload(f"Version: {quoted(version)} is not a version (PEP 440).")
    return str(parsed)


def _present(raw: RawMetadata) -> RawMetadata:
    kept: dict[str, object] = {}
    for key, found in raw.items():
        if isinstance(found, list):
            # An empty Import-Name says that there is nothing to import (PEP 794).
            # What is Dynamic decides who may trust the rest, however it is written.
            values = [entry for entry in found if key == "dynamic" or entry not in _ABSENT]
            if values or key == "import_names":
                kept[key] = values
        elif found not in _ABSENT:
            kept[key] = found
    return cast("RawMetadata", kept)

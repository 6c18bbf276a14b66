"""A distribution that passed every check: what the upload room hands to the index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import NormalizedName

from app.models import Hashes, Kind

CoreFields = Mapping[str, str | list[str]]
"""Core metadata in the names of PEP 566's JSON form, without the description."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """The facts, all taken from the file itself (never from the form; PEP 694's rationale).

    ``path`` holds the spooled bytes; ``metadata`` the exact bytes of the METADATA of a
    wheel or the PKG-INFO of an sdist, ``metadata_static`` says whether clients may trust
    it without a build (PEP 643). ``provenance`` is of attestations that were
    verified (PEP 740). ``display_name`` is the name as its author spells it.
    """

    project: NormalizedName
    display_name: str
    version: str
    filename: str
    kind: Kind
    python_version: str
    size: int
    hashes: Hashes
    path: Path
    metadata: bytes
    metadata_static: bool
    requires_python: str | None = None
    summary: str = ""
    comment: str = ""
    core: CoreFields = field(default_factory=dict)
    provenance: bytes | None = None

"""What the inside of the archive and its metadata say of one another."""

from __future__ import annotations

import configparser
import re
from collections.abc import Sequence
from typing import Protocol

from app import errors, names
from app.models import Kind
from app.upload.archives.scripts import shadows
from app.upload.fields import Claim
from app.upload.metadata import CoreMetadata
from app.upload.quoting import quoted

_SCRIPT = re.compile(r"(?!\.+\Z)[\w.-]{1,255}\Z", re.ASCII)
# Of extras too; the parser takes a second for ten thousands of groups.
_GROUPS = 5_000
_SCRIPT_GROUPS = ("console_scripts", "gui_scripts")


class Inspected(Protocol):
    """What an inspection of the archive found.

    ``metadata`` and ``entry_points`` are the exact bytes of the files; ``names`` those below
    the directory ``root`` (the dist-info directory of a wheel, the top of an sdist), relative
    to it, that License-File may claim.
    """

    @property
    def metadata(self) -> bytes: ...
    @property
    def entry_points(self) -> bytes | None: ...
    @property
    def root(self) -> str: ...
    @property
    def names(self) -> frozenset[str]: ...


def check_agreement(claim: Claim, metadata: CoreMetadata) -> None:
    """The file is what the form says: the same project, and the same version (NAM-5, UPL-8)."""
    if metadata.project != claim.project:
        raise errors.InvalidUpload(
            f"The file's metadata is that of project '{metadata.project}', not '{claim.project}'."
        )
    if names.canonical_version(metadata.version) != names.canonical_version(claim.version):
        raise errors.InvalidUpload(
            f"The file's metadata is that of version '{metadata.version}', not '{claim.version}'."
        )


def check_license_files(
    metadata: CoreMetadata, inspected: Inspected, *, kind: Kind, filename: str
) -> None:
    """Every License-File is in the archive, where PEP 639 puts it; below 2.4 none must (CNT-7)."""
    if metadata.metadata_version < (2, 4):
        return
    claimed: Sequence[str] = metadata.raw.get("license_files", [])
    for path in claimed:
        place = f"licenses/{path}" if kind is Kind.WHEEL else path
        if place not in inspected.names:
            raise errors.InvalidUpload(
                f"License-File {quoted(path)} does not exist in distribution file {filename} "
                f"at {quoted(f'{inspected.root}/{place}')}."
            )


def check_entry_points(entry_points: bytes | None, project: str) -> None:
    """The file is INI, and scripts have names that can be files and shadow nothing (CNT-13)."""
    if entry_points is None:
        return
    if entry_points.count(b"[") > _GROUPS:
        raise errors.InvalidUpload(f"entry_points.txt: Use at most {_GROUPS:,} brackets.")
    parser = configparser.ConfigParser(
        delimiters=("=",), interpolation=None, strict=True, default_section=""
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names have case
    try:
        parser.read_string(entry_points.decode())
    except (configparser.Error, UnicodeDecodeError) as error:
        raise errors.InvalidUpload("entry_points.txt: This is not a valid INI file.") from error
    for group in _SCRIPT_GROUPS:
        for name in parser[group] if parser.has_section(group) else ():
            if not _SCRIPT.match(name):
                raise errors.InvalidUpload(
                    f"entry_points.txt: {quoted(name)} is not a name for a script."
                )
            if shadows(name, project):
                raise errors.InvalidUpload(
                    f"entry_points.txt: A script {quoted(name)} would shadow the environment's own."
                )

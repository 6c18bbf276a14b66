"""What the form claims: one check for each field that is read (the legacy upload API).

Every other field of the form is read over, in whatever spelling a client sends it
(``import_name`` or ``import_names``): the truth is in the file. An empty field and one
that says UNKNOWN are absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from packaging.utils import NormalizedName

from app import errors, names
from app.models import Hashes, Kind
from app.upload.quoting import quoted

_GONE = frozenset({"submit", "submit_pkg_info", "doc_upload"})
_DIGEST_NAMES = {
    "sha256_digest": "SHA256",
    "blake2_256_digest": "BLAKE2b-256",
    "md5_digest": "MD5",
}
_HEX = re.compile(r"[0-9a-f]+\Z")
_COMMENT_LENGTH = 2_048
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the client says the file is. ``version`` is in PEP 440's normal form."""

    project: NormalizedName
    version: str
    kind: Kind
    comment: str


def read(fields: Mapping[str, tuple[str, ...]]) -> Claim:
    """The claim of a form. Raises errors.InvalidUpload, for a former action errors.ActionGone."""
    check_action(fields)
    check_protocol_version(fields)
    kind = check_filetype(fields)
    check_python_version(fields, kind)
    return Claim(
        project=check_name(fields),
        version=check_version(fields),
        kind=kind,
        comment=check_comment(fields),
    )


def value(fields: Mapping[str, tuple[str, ...]], name: str) -> str:
    """The value of a single field, stripped; empty where it is absent (UPL-6)."""
    found = fields.get(name, ("",))[0].strip()
    return "" if found == "UNKNOWN" else found


def check_action(fields: Mapping[str, tuple[str, ...]]) -> None:
    """The form uploads a file (UPL-19)."""
    action = value(fields, ":action")
    if action in _GONE:
        raise errors.ActionGone(action)
    if action != "file_upload":
        raise errors.InvalidUpload("Unknown :action; upload files with 'file_upload'.")


def check_protocol_version(fields: Mapping[str, tuple[str, ...]]) -> None:
    """Version 1, which is also meant when none is given."""
    if value(fields, "protocol_version") not in {"", "1"}:
        raise errors.InvalidUpload("Unknown protocol version.")


def check_filetype(fields: Mapping[str, tuple[str, ...]]) -> Kind:
    """Only wheels and sdists are taken (PEP 527, PEP 715)."""
    try:
        return Kind(value(fields, "filetype"))
    except ValueError as error:
        raise errors.InvalidUpload("Use a known file type.") from error


def check_python_version(fields: Mapping[str, tuple[str, ...]], kind: Kind) -> None:
    """Wheels need one, though what counts is the tag in the filename; sdists say ``source``."""
    python_version = value(fields, "pyversion")
    if kind is Kind.WHEEL and not python_version:
        raise errors.InvalidUpload("Python version is required for binary distribution uploads.")
    if kind is Kind.SDIST and python_version not in {"", "source"}:
        raise errors.InvalidUpload("Use 'source' as Python version for an sdist.")


def check_name(fields: Mapping[str, tuple[str, ...]]) -> NormalizedName:
    """The project's name, valid and normalised (UPL-8)."""
    try:
        return names.normalize(value(fields, "name"))
    except errors.InvalidName as error:
        raise errors.InvalidUpload(f"name: {error}") from error


def check_version(fields: Mapping[str, tuple[str, ...]]) -> str:
    """The version in PEP 440's normal form; local versions are fine (NAM-8)."""
    text = value(fields, "version")
    parsed = names.parse_version(text)
    if parsed is None:
        raise errors.InvalidUpload(f"version: {quoted(text)} is not a version (PEP 440).")
    return str(parsed)


def check_comment(fields: Mapping[str, tuple[str, ...]]) -> str:
    """A comment on the file is short and without control characters."""
    comment = value(fields, "comment")
    if len(comment) > _COMMENT_LENGTH or _CONTROL.search(comment):
        raise errors.InvalidUpload(
            f"comment: Use at most {_COMMENT_LENGTH:,} characters, none of them control characters."
        )
    return comment


def check_digests(fields: Mapping[str, tuple[str, ...]], hashes: Hashes) -> None:
    """At least one digest, and every one that is given is that of the bytes (UPL-5)."""
    calculated = {
        "sha256_digest": hashes.sha256,
        "blake2_256_digest": hashes.blake2b_256,
        "md5_digest": hashes.md5,
    }
    given = {name: found.lower() for name in calculated if (found := value(fields, name))}
    if not given:
        raise errors.InvalidUpload("Include at least one message digest.")
    for name, digest in given.items():
        if len(digest) != len(calculated[name]) or not _HEX.match(digest):
            raise errors.InvalidUpload(
                f"{name}: Use a valid, hex-encoded, {_DIGEST_NAMES[name]} message digest."
            )
        if digest != calculated[name]:
            raise errors.InvalidUpload(
                "The digest supplied does not match a digest calculated from the uploaded file: "
                f"{name}."
            )

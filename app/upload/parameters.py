"""Header values with parameters, and the headers of a form's parts (RFC 7578, RFC 2045).

Stricter than the specifications where parsers are known to disagree: no parameter twice,
no backslash in a quoted value, no ``filename*``, no charset but UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app import errors
from app.upload.quoting import quoted

_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 (RFC 9110's token, no secret)
_VALUE = re.compile(rf"[ \t]*({_TOKEN}(?:/{_TOKEN})?)[ \t]*")
_PARAMETER = re.compile(
    rf'[ \t]*;[ \t]*({_TOKEN})=(?:"([^"\\\x00-\x1f\x7f]*)"|([^\s";,\\\x00-\x1f\x7f]+))[ \t]*'
)
_END = re.compile(r"[ \t]*;?[ \t]*\Z")
# RFC 2046, section 5.1.1; a space is allowed inside, but no client sends one.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,70}\Z")
_FIELD = re.compile(r"[A-Za-z0-9:_.-]{1,64}\Z")
_UNENCODED = frozenset({"7bit", "8bit", "binary"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What the headers of one part say; ``length`` is its Content-Length, where it has one."""

    name: str
    filename: str | None
    length: int | None


def parse(value: str) -> tuple[str, dict[str, str]]:
    """The value in lower case and its parameters, names in lower case.

    Raises errors.InvalidUpload for anything the grammar does not cover, and for a
    parameter given twice.
    """
    match = _VALUE.match(value)
    if match is None:
        raise errors.InvalidUpload("The form has a malformed header.")
    parameters: dict[str, str] = {}
    position = match.end()
    while parameter := _PARAMETER.match(value, position):
        name = parameter[1].lower()
        if name in parameters:
            raise errors.InvalidUpload(f"The form has a header with two parameters {quoted(name)}.")
        parameters[name] = parameter[2] if parameter[2] is not None else parameter[3]
        position = parameter.end()
    if not _END.match(value, position):
        raise errors.InvalidUpload("The form has a malformed header.")
    return match[1].lower(), parameters


def boundary(content_type: str) -> str:
    """The boundary of a ``multipart/form-data`` Content-Type."""
    kind, parameters = parse(content_type)
    if kind != "multipart/form-data":
        raise errors.InvalidUpload("Upload a form as multipart/form-data.")
    _check_charset(parameters)
    found = parameters.get("boundary", "")
    if not _BOUNDARY.match(found):
        raise errors.InvalidUpload("The form has no valid multipart boundary (RFC 2046).")
    return found


def part(headers: Sequence[tuple[str, str]]) -> Part:
    """What one part is; ``headers`` have names in Title-Case, as the parser gives them."""
    named = dict(headers)
    if len(named) != len(headers):
        raise errors.InvalidUpload("A part of the form has a header twice.")
    _check_encoding(named)
    kind, parameters = parse(named.get("Content-Disposition", ""))
    if kind != "form-data" or parameters.keys() - {"name", "filename"}:
        raise errors.InvalidUpload("A part of the form has a malformed Content-Disposition.")
    name = parameters.get("name", "")
    if not _FIELD.match(name):
        raise errors.InvalidUpload(f"The form has a field with a malformed name {quoted(name)}.")
    length = named.get("Content-Length")
    return Part(
        name=name,
        filename=parameters.get("filename"),
        length=None if length is None else int(length),
    )


def _check_encoding(headers: dict[str, str]) -> None:
    transfer = headers.get("Content-Transfer-Encoding", "binary")
    if transfer.strip().lower() not in _UNENCODED:
        raise errors.InvalidUpload(
            "A part of the form is transfer-encoded (RFC 7578, section 4.7)."
        )
    if "Content-Type" in headers:
        kind, parameters = parse(headers["Content-Type"])
        if kind.startswith("multipart/"):
            raise errors.InvalidUpload("A part of the form is a multipart body itself.")
        _check_charset(parameters)


def _check_charset(parameters: dict[str, str]) -> None:
    if parameters.get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
        raise errors.InvalidUpload("Send the form in UTF-8; no other charset is read.")

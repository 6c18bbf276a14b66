"""The header fields of core metadata, walked line by line before any parser sees them.

Readers of e-mail headers disagree about lines that are no field, about bare carriage
returns, control characters and repeated fields; and some of their work grows with the
product of what they read. So all of that is refused or capped here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app import errors
from app.upload.profile import Profile
from app.upload.quoting import quoted

METADATA_LIMIT = 8 * 2**20
"""Bytes of metadata that are read; descriptions of a few MiB are real."""
_FIELDS = 20_000
_LINES = 200_000
_FIELD_SIZE = 256 * 2**10
_FIELD_NAMES = 128
_FIELD = re.compile(r"([!-9;-~]{1,64}):")
# Whatever some reader takes for the end of a line (U+0085, U+2028 and U+2029 too).
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")
# They change how mail readers take the body, and are no core metadata.
_MAIL = re.compile(r"content-|mime-version\Z")
_SINGLE = ("metadata-version", "name", "version", "requires-python")


@dataclass(frozen=True, slots=True)
class Header:
    """One field: its name in lower case, and its value with its folded lines."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """The fields in their order, without the description; ``descriptions`` counts the fields
    and the bodies that give one."""

    fields: Sequence[Header]
    descriptions: int

    def __str__(self) -> str:
        return "".join(f"{field.name}: {field.value}\n" for field in self.fields)


def walk(metadata: bytes, profile: Profile) -> Headers:
    """The fields of core metadata. Raises errors.InvalidUpload for what cannot be read safely."""
    text = check_encoding(metadata, profile)
    fields: list[Header] = []
    descriptions = 0
    position = 0
    for lines, end in _unfold(text, profile):
        position = end
        name = lines[0].partition(":")[0].lower()
        value = "\n".join(lines)[len(name) + 1 :].strip()
        if name == "description":
            descriptions += value not in {"", "UNKNOWN"}
            continue
        fields.append(Header(name, check_value(name, value, profile)))
        if len(fields) > _FIELDS:
            raise refusal(f"it has more than {_FIELDS:,} fields")
    check_names(fields)
    descriptions += text[position:].strip() not in {"", "UNKNOWN"}
    return Headers(fields=fields, descriptions=descriptions)


def check_encoding(metadata: bytes, profile: Profile) -> str:
    """Core metadata is UTF-8 without NUL; import tolerates the encodings of former years."""
    if len(metadata) > METADATA_LIMIT:
        raise refusal(f"it has more than {METADATA_LIMIT:,} bytes")
    if b"\0" in metadata:
        raise refusal("it holds a NUL")
    try:
        return metadata.decode()
    except UnicodeDecodeError as error:
        if profile == "import":
            return metadata.decode(errors="replace")
        raise refusal("it is not UTF-8") from error


def check_value(name: str, value: str, profile: Profile) -> str:
    """The value of one field: not endless, and without control characters."""
    if len(value) > _FIELD_SIZE:
        raise refusal(f"{quoted(name)} is longer than {_FIELD_SIZE:,} characters")
    if profile == "strict" and _CONTROL.search(value):
        raise refusal(f"{quoted(name)} holds a control character")
    return _CONTROL.sub(" ", value)


def check_names(fields: Sequence[Header]) -> None:
    """The fields that decide are there at most once, and none makes it a mail."""
    counts = Counter(field.name for field in fields)
    if len(counts) > _FIELD_NAMES:
        raise refusal(f"it has fields of more than {_FIELD_NAMES} names")
    for name in counts:
        if _MAIL.match(name):
            raise refusal(f"{quoted(name)} is not a field of core metadata")
    for name in _SINGLE:
        if counts[name] > 1:
            raise refusal(f"it has more than one {name.title()}")


def refusal(reason: str) -> errors.InvalidUpload:
    """The error for metadata that cannot be read."""
    return errors.InvalidUpload(f"Invalid distribution file. Its metadata is malformed: {reason}.")


def _unfold(text: str, profile: Profile) -> Iterator[tuple[list[str], int]]:
    """Each field as its lines, and where the next one begins, up to the first empty line.

    A line that is no field ends the fields in import, as it does for ``email``.
    """
    lines: list[str] = []
    position = count = 0
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        line = text[position:end].removesuffix("\r")
        if "\r" in line:
            raise refusal("a carriage return stands alone")
        folded = line[:1] in {" ", "\t"} and bool(lines)
        if not folded:
            if lines:
                yield lines, position
            if not line:
                return
            if not _FIELD.match(line):
                if profile == "import":
                    return
                raise refusal(f"{quoted(line)} is not a field")
            lines = []
        lines.append(line)
        position, count = end + 1, count + 1
        if count > _LINES:
            raise refusal(f"its fields have more than {_LINES:,} lines")
    if lines:
        yield lines, position

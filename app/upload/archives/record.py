"""RECORD: the files of a wheel with their hashes (binary distribution format).

Every file is listed once with a sha256, sha384 or sha512, and its size.
"""

from __future__ import annotations

import binascii
import csv
import hashlib
import io

from .members import refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from hashlib import _Hash

ALGORITHMS = frozenset({"sha256", "sha384", "sha512"})
UNSIGNED = ("RECORD", "RECORD.jws", "RECORD.p7s")
ROW_LENGTH = 8_192


class Row:
    """What RECORD says of one file; without a hash only for RECORD itself and its signatures."""

    __slots__ = ("algorithm", "digest", "name", "size")

    def __init__(self, name: str, algorithm: str, digest: str, size: int | None) -> None:
        self.name = name
        self.algorithm = algorithm
        self.digest = digest
        self.size = size

    def hasher(self) -> _Hash:
        """A fresh hash of the algorithm that the row names."""
        return hashlib.new(self.algorithm or "sha256", usedforsecurity=False)

    def check(self, hasher: _Hash, size: int) -> None:
        """The bytes that were seen are those that the row promises."""
        if not self.algorithm:
            return
        if self.size is not None and self.size != size:
            refuse("RECORD gives another size for {}", self.name)
        digest = binascii.b2a_base64(hasher.digest(), newline=False).rstrip(b"=")
        if digest.translate(_URL_SAFE).decode() != self.digest:
            refuse("RECORD gives another hash for {}", self.name)


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def parse(raw: bytes, directory: str, limit: int, *, strict: bool) -> dict[str, Row]:
    """The rows by the name of the file; ``directory`` is the dist-info's name."""
    unsigned = {f"{directory}/{name}" for name in UNSIGNED}
    rows: dict[str, Row] = {}
    try:
        for fields in csv.reader(_lines(raw)):
            if not fields:
                continue
            row = _parse_row(fields, unsigned, strict=strict)
            if row.name in rows:
                refuse("RECORD lists {} twice", row.name)
            rows[row.name] = row
            if len(rows) > limit:
                refuse(f"RECORD has more than {limit} rows")
    except csv.Error:
        refuse("RECORD is not readable as CSV")
    return rows


def _lines(raw: bytes) -> Iterator[str]:
    for line in io.BytesIO(raw):
        if len(line) > ROW_LENGTH:
            refuse("RECORD has a line that is too long")
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError:
            refuse("RECORD is not UTF-8")


def _parse_row(fields: list[str], unsigned: set[str], *, strict: bool) -> Row:
    if len(fields) != 3:
        refuse("RECORD has a row of other than three fields: {}", ",".join(fields))
    name, digest, size = fields
    if not digest:
        if name not in unsigned:
            refuse("RECORD has no hash for {}", name)
        return Row(name, "", "", None)
    if name in unsigned and name.endswith("/RECORD"):
        refuse("RECORD gives a hash of itself")
    algorithm, _, value = digest.partition("=")
    if algorithm not in ALGORITHMS:
        refuse("RECORD has a hash that is neither sha256, sha384 nor sha512, for {}", name)
    if not strict:
        value = value.rstrip("=")
    if not size and not strict:
        return Row(name, algorithm, value, None)
    if not (size.isascii() and size.isdigit() and len(size) < 20):
        refuse("RECORD has a malformed size for {}", name)
    return Row(name, algorithm, value, int(size))

"""The nouns of upstreams: a file that one lists, and what its page said. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from packaging.utils import NormalizedName

from app import errors, names
from app.models import Kind, Status
from app.simple.parse import Link
from app.upload.filenames import check_filename

VERSION = 1


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file of an upstream's page (simple.parse.Link says what the fields are).

    ``publishers`` are those that its provenance proves; None where nobody looked. They are kept
    as ``proven``: what was kept as ``publishers`` was believed without a look.
    """

    filename: str
    url: str
    version: str
    kind: Kind
    hashes: Mapping[str, str] = {}
    requires_python: str | None = None
    core_metadata: Mapping[str, str] | None = None
    size: int | None = None
    upload_time: datetime | None = None
    yanked: str | None = None
    provenance: str | None = None
    publishers: tuple[str, ...] | None = msgspec.field(default=None, name="proven")

    @property
    def sha256(self) -> str | None:
        """The digest that decides, where the page has it."""
        return self.hashes.get("sha256")


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an upstream's page of a project said, when it was last asked.

    ``absent``: it has no such project. ``fresh_for`` is in seconds. ``missing_since``: since
    when files of an earlier page are missing that are still listed here; ``changed``: files
    whose hash is no more that of the page on which they first stood, which is kept here;
    ``gone``: files that were listed once, and what they were then, should they come back.
    """

    v: int
    upstream: str
    name: NormalizedName
    asked: datetime
    fresh_for: float
    absent: bool = False
    etag: str | None = None
    last_modified: str | None = None
    status: Status = Status.ACTIVE
    status_reason: str | None = None
    entries: tuple[Entry, ...] = ()
    dropped: int = 0
    missing_since: datetime | None = None
    changed: tuple[str, ...] = ()
    gone: tuple[Entry, ...] = ()

    def age(self, now: datetime) -> float:
        """Seconds since it was asked; a clock that was set back makes it old."""
        passed = (now - self.asked).total_seconds()
        return passed if passed >= 0 else float("inf")

    def find(self, filename: str) -> Entry | None:
        """The file of this name."""
        return next((entry for entry in self.entries if entry.filename == filename), None)


_decoder = msgspec.json.Decoder(Record)
_encoder = msgspec.json.Encoder()


def encode(record: Record) -> bytes:
    """As it is kept."""
    return _encoder.encode(record)


def decode(content: bytes) -> Record | None:
    """The record; None for what another version wrote, or nobody."""
    try:
        record = _decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return record if record.v == VERSION else None


def is_sound(record: Record) -> bool:
    """Whether what another service wrote holds nothing that a page could not have said."""
    filenames = (entry.filename for entry in record.entries)
    return names.is_filename(record.upstream) and all(map(names.is_filename, filenames))


def entry(name: NormalizedName, link: Link) -> Entry:
    """The file of a link; ValueError where it is none of this project's."""
    kind = Kind.WHEEL if link.filename.endswith(".whl") else Kind.SDIST
    if not names.is_filename(link.filename):
        raise ValueError("not a filename")
    try:
        named = check_filename(link.filename, project=name, kind=kind, profile="import")
    except errors.InvalidUpload as wrong:
        raise ValueError(str(wrong)) from None
    time = link.upload_time
    return Entry(
        filename=link.filename,
        url=link.url,
        version=named.version,
        kind=kind,
        hashes=dict(link.hashes),
        requires_python=link.requires_python,
        core_metadata=None if link.core_metadata is None else dict(link.core_metadata),
        size=link.size,
        upload_time=None if time is None else time.astimezone(UTC),
        yanked=link.yanked,
        provenance=link.provenance,
    )

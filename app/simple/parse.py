"""Pages → values: the Simple API read back, in either form (PEP 503, 691, 700, 714, 792). Pure.

Strict where a mistake would hand somebody the wrong file, lenient where the PEPs are: unknown
keys, attributes and elements are passed over. What cannot be believed raises ValueError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import msgspec

from app.models import Status
from app.simple import markup
from app.simple.negotiate import Format

LARGEST = 2**53
"""Bytes of a file; of more no JSON reader is sure."""
MOST = 100_000
"""Files of a project: more are no project's, and cost what nobody would pay to look at them."""
_SIGNS = {True: {b"{": 4, b"[": 4, b",": 40}, False: {b"<": 6}}
"""What of JSON, or of HTML, takes time to read, and how many of them a file has at most."""
_WHOLE = re.compile(r"https?://[!-~]+\Z")
_HASH_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128, "blake2b": 128, "sha1": 40, "md5": 32}

_Shape = TypeVar("_Shape")
_Take = Callable[[Iterable[Callable[[], "Link"]]], Iterator["Link"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One file of a page. ``url`` is absolute, without fragment.

    ``core_metadata`` is None where none is offered, else its hashes by name, which may be
    none at all (PEP 714); ``yanked`` is None or the reason, which may be empty (PEP 592).
    """

    filename: str
    url: str
    hashes: Mapping[str, str]
    requires_python: str | None = None
    core_metadata: Mapping[str, str] | None = None
    size: int | None = None
    upload_time: datetime | None = None
    yanked: str | None = None
    provenance: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A project's page. ``versions`` is empty for HTML, which has no place for them."""

    name: str
    links: tuple[Link, ...]
    versions: tuple[str, ...] = ()
    status: Status = Status.ACTIVE
    status_reason: str | None = None
    serial: int | None = None


def project(body: bytes, format: Format, *, url: str) -> Listing:
    """The page that was found at ``url`` (where redirects ended)."""
    return _project(body, format, url, _strictly)


def tolerant(body: bytes, format: Format, *, url: str) -> tuple[Listing, int]:
    """The same without the entries that cannot be believed, and how many those are."""
    dropped = 0

    def leniently(makers: Iterable[Callable[[], Link]]) -> Iterator[Link]:
        nonlocal dropped
        for make in makers:
            try:
                yield make()
            except ValueError:
                dropped += 1

    listing = _project(body, format, url, leniently)
    return listing, dropped


def _strictly(makers: Iterable[Callable[[], Link]]) -> Iterator[Link]:
    return (make() for make in makers)


def _project(body: bytes, format: Format, url: str, take: _Take) -> Listing:
    signs = _SIGNS[format is Format.JSON]
    if any(body.count(sign) > each * MOST for sign, each in signs.items()):
        raise ValueError(f"a page of more than {MOST} files")
    read = _project_json if format is Format.JSON else _project_html
    return read(body, url, take)


def root(body: bytes, format: Format) -> tuple[str, ...]:
    """The names that a root lists, as they are spelled there."""
    if format is Format.JSON:
        page = _decode(body, _Root)
        _check_version(page.meta.api_version)
        return tuple(entry.name for entry in page.projects)
    return tuple(text for _, text in _read(body).anchors)


class _Meta(msgspec.Struct, rename="kebab"):
    api_version: str
    last_serial: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw, name="_last-serial")


class _Entry(msgspec.Struct):
    name: str


class _Root(msgspec.Struct):
    meta: _Meta
    projects: list[_Entry]


class _Marker(msgspec.Struct):
    status: str = Status.ACTIVE
    reason: str | None = None


class _FileEntry(msgspec.Struct, rename="kebab"):
    filename: str
    url: str
    hashes: dict[str, str]
    requires_python: str | None = None
    core_metadata: bool | dict[str, str] | None = None
    size: Annotated[int, msgspec.Meta(ge=0, le=LARGEST)] | None = None
    upload_time: datetime | None = None
    yanked: bool | str | None = False
    provenance: str | None = None


class _Page(msgspec.Struct, rename="kebab"):
    meta: _Meta
    name: str
    files: list[msgspec.Raw]
    versions: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    project_status: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


def _decode(body: bytes, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as wrong:
        raise ValueError(f"not a page of the Simple API: {wrong}") from wrong


def _project_json(body: bytes, url: str, take: _Take) -> Listing:
    page = _decode(body, _Page)
    _check_version(page.meta.api_version)
    marker = _aside(page.project_status, _Marker | str | None, take) or _Marker()
    if isinstance(marker, str):
        marker = _Marker(marker)
    return Listing(
        name=page.name,
        links=tuple(take(partial(_link_json, bytes(raw), url) for raw in page.files)),
        versions=tuple(_aside(page.versions, list[str], take) or ()),
        status=_status(marker.status, take),
        status_reason=marker.reason,
        serial=_aside(page.meta.last_serial, int | None, take),
    )


def _aside(raw: msgspec.Raw, shape: Any, take: _Take) -> Any:
    """What a page says beside its files; None where it does not, or not so that it can be read."""
    said = bytes(raw)
    try:
        return _decode(said, shape) if said else None
    except ValueError:
        if take is _strictly:
            raise
        return None


def _status(said: str, take: _Take) -> Status:
    """A marker that is not known is a mistake, or of a time to come (PEP 792)."""
    known = said in tuple(Status)
    return Status(said) if known or take is _strictly else Status.ACTIVE


def _link_json(raw: bytes, base: str) -> Link:
    entry = _decode(raw, _FileEntry)
    offered = entry.core_metadata
    if offered is True:
        offered = {}
    yanked = entry.yanked
    return Link(
        filename=entry.filename,
        url=_file_url(base, entry.url, entry.filename),
        hashes=_hashes(entry.hashes),
        requires_python=entry.requires_python or None,
        core_metadata=None if offered is None or offered is False else _hashes(offered),
        size=entry.size,
        upload_time=None if entry.upload_time is None else _utc(entry.upload_time),
        yanked=yanked if isinstance(yanked, str) and yanked else "" if yanked is True else None,
        provenance=_provenance(entry.provenance),
    )


def _read(body: bytes) -> markup.Document:
    try:
        document = markup.read(body.decode())
    except UnicodeDecodeError as wrong:
        raise ValueError(f"not a page of the Simple API: {wrong}") from wrong
    _check_version(document.metas.get("pypi:repository-version", "1.0"))
    return document


def _project_html(body: bytes, url: str, take: _Take) -> Listing:
    page = _read(body)
    base = urljoin(url, page.base or "")
    return Listing(
        name=unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2]),
        links=tuple(take(partial(_link_html, attributes, base) for attributes, _ in page.anchors)),
        status=_status(page.metas.get("pypi:project-status", Status.ACTIVE), take),
        status_reason=page.metas.get("pypi:project-status-reason"),
    )


def _link_html(attributes: dict[str, str], base: str) -> Link:
    href, fragment = urldefrag(attributes["href"])
    filename = unquote(urlsplit(href).path.rpartition("/")[2])
    # PEP 714: the newer name decides wherever it stands.
    offered = attributes.get("data-core-metadata", attributes.get("data-dist-info-metadata"))
    size, time = attributes.get("data-size"), attributes.get("data-upload-time")
    if size is not None and not (size.isascii() and size.isdecimal()):
        raise ValueError(f"data-size is no number of bytes: {size[:40]!r}")
    length = None if size is None else int(size)
    if length is not None and length > LARGEST:
        raise ValueError(f"data-size is larger than any file: {length}")
    return Link(
        filename=filename,
        url=_file_url(base, href, filename),
        hashes=_hash_pair(fragment),
        requires_python=attributes.get("data-requires-python") or None,
        core_metadata=None if offered in (None, "false") else _hash_pair(offered),
        size=length,
        upload_time=None if time is None else _utc(datetime.fromisoformat(time)),
        yanked=attributes.get("data-yanked"),
        provenance=_provenance(attributes.get("data-provenance")),
    )


def _provenance(said: str | None) -> str | None:
    """A whole URL (PEP 740); what is none offers nothing."""
    return said if said and _WHOLE.match(said) else None


def _file_url(base: str, reference: str, filename: str) -> str:
    url = urldefrag(urljoin(base, reference)).url
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"not a URL to fetch from: {url[:200]!r}")
    if not filename or "/" in filename or unquote(parts.path.rpartition("/")[2]) != filename:
        raise ValueError(f"the URL of {filename[:200]!r} ends in another name")
    return url


def _hash_pair(text: str | None) -> Mapping[str, str]:
    name, equals, digest = (text or "").partition("=")
    return _hashes({name: digest}) if equals else {}


def _hashes(hashes: Mapping[str, str]) -> Mapping[str, str]:
    """In lower case. Hash functions that we do not know are passed over, as clients do."""
    known = {
        name.lower(): digest.lower()
        for name, digest in hashes.items()
        if name.lower() in _HASH_LENGTHS
    }
    for name, digest in known.items():
        if len(digest) != _HASH_LENGTHS[name] or set(digest) - set("0123456789abcdef"):
            raise ValueError(f"not a {name} digest: {digest[:140]!r}")
    return known


def _utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError("an upload-time without a zone")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("an upload-time before all time") from None


def _check_version(version: str) -> None:
    """PEP 629: a greater minor version is fine, another major one is not."""
    major, dot, minor = version.partition(".")
    if not (dot and major.isdecimal() and minor.isdecimal() and int(major) == 1):
        raise ValueError(f"version {version[:20]!r} of the Simple API is not known")

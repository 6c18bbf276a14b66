"""What the page of an upstream's project shows, as values. Pure.

All of it is a stranger's: texts are cut where they would fill a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from urllib.parse import quote

from app.models import UNKNOWN_SIZE, UNKNOWN_TIME, File, Project, Status
from app.simple import render
from app.upstream.relayed import Relayed, as_listed
from app.upstream.rules import Refusal
from app.upstream.wanted import Wanted
from app.web.releases import Release, grouped, newest, tags
from app.web.views import Command, FileFilter

_LONG = 500
"""Letters of a reason."""
_LONGEST_URL = 2_000
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The rule that keeps something back; ``until``: when it no longer will, if that is known."""

    rule: str
    why: str
    until: datetime | None

    @classmethod
    def of(cls, refusal: Refusal) -> Self:
        """As the rules decided."""
        return cls(rule=refusal.rule, why=refusal.why, until=refusal.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Theirs:
    """The files of upstreams by release, newest first; ``refusals`` of those that are held back."""

    releases: tuple[Release, ...]
    files: Mapping[str, Wanted]
    refusals: Mapping[str, Refusal]

    @classmethod
    def of(cls, relayed: Relayed, own: Project | None) -> Self:
        """Those that are not shadowed by a file of ours, which may be deleted."""
        taken = {file.filename for file in own.files} if own is not None else set()
        refusals = {one.file.entry.filename: one.refusal for one in relayed.refused}
        every = (*relayed.files, *(one.file for one in relayed.refused))
        files = {one.entry.filename: one for one in every if one.entry.filename not in taken}
        releases = grouped(as_listed(files[filename]) for filename in sorted(files))
        return cls(releases=releases, files=files, refusals=refusals)

    @property
    def newest(self) -> Release | None:
        """The one that installers would take; where all are held back, the newest of those."""
        handed = [one for one in self.releases if self.withheld(one) < len(one.files)]
        return newest(handed or self.releases)

    def withheld(self, release: Release) -> int:
        """So many files of the release are held back."""
        return sum(file.filename in self.refusals for file in release.files)

    def held(self, release: Release) -> Held | None:
        """The one rule that keeps all of a release back, as it does for the first to be free."""
        found = [self.refusals.get(file.filename) for file in release.files]
        refusals = [one for one in found if one is not None]
        if len(refusals) < len(found) or len({one.rule for one in refusals}) != 1:
            return None
        return Held.of(min(refusals, key=lambda one: one.until or _NEVER))


@dataclass(frozen=True, slots=True, kw_only=True)
class TheirFile:
    """One file of an upstream, with None for what it does not say.

    ``url`` and ``metadata`` are ours, and None where a rule holds the file back (``held``).
    ``provenance`` is the upstream's. ``kept``: its bytes are here already.
    """

    filename: str
    url: str | None
    kind: str
    python: str
    abi: str
    platform: str
    size: int | None
    time: datetime | None
    upstream: str
    requires_python: str | None
    yanked: str | None
    sha256: str | None
    metadata: str | None
    provenance: str | None
    kept: bool
    held: Held | None

    @classmethod
    def of(cls, file: File, theirs: Theirs, kept: Set[str], root: str) -> Self:
        """The view of a file; URLs begin with ``root``."""
        tagged, wanted = tags(file), theirs.files[file.filename]
        refusal = theirs.refusals.get(file.filename)
        url = f"{root}/files/{render.path(file)}" if refusal is None else None
        return cls(
            filename=file.filename,
            url=url,
            kind=file.kind.value,
            python=tagged.python,
            abi=tagged.abi,
            platform=tagged.platform,
            size=None if file.size == UNKNOWN_SIZE else file.size,
            time=_known(file.upload_time),
            upstream=wanted.client.name,
            requires_python=_short(file.requires_python),
            yanked=_short(file.yanked),
            sha256=wanted.entry.sha256,
            metadata=f"{url}.metadata" if url and file.offers_metadata else None,
            provenance=_secure(wanted.entry.provenance),
            kept=file.filename in kept,
            held=None if refusal is None else Held.of(refusal),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TheirRelease:
    """A release in the history, with None for what is not known.

    ``withheld`` of its files are held back by rules; ``held`` is the rule where one holds all.
    """

    version: str
    url: str
    time: datetime | None
    files: int
    size: int | None
    prerelease: bool
    yanked: str | None
    withheld: int
    held: Held | None

    @classmethod
    def of(cls, release: Release, theirs: Theirs, place: Place) -> Self:
        """The line of a release."""
        times = [one for file in release.files if (one := _known(file.upload_time)) is not None]
        sizes = [file.size for file in release.files]
        return cls(
            version=release.version,
            url=place.release(release.version),
            time=min(times, default=None),
            files=len(release.files),
            size=None if UNKNOWN_SIZE in sizes else sum(sizes),
            prerelease=release.prerelease,
            yanked=_short(release.yanked),
            withheld=theirs.withheld(release),
            held=theirs.held(release),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the pages of a project are; ``beside``: it is one of ours that shares its name."""

    root: str
    name: str
    beside: bool

    @property
    def own(self) -> str:
        """The project's page, of ours where there is one."""
        return f"{self.root}/project/{quote(self.name)}/"

    @property
    def project(self) -> str:
        """The page of what upstreams have."""
        return f"{self.own}{self._query}"

    @property
    def releases(self) -> str:
        """All their releases."""
        return f"{self.own}releases{self._query}"

    def release(self, version: str) -> str:
        """One of their releases."""
        return f"{self.own}{quote(version, safe='!+')}/{self._query}"

    @property
    def _query(self) -> str:
        return "?upstreams=true" if self.beside else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What an upstream says of the project as a whole (PEP 792)."""

    upstream: str
    status: Status
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AbroadView:
    """A project that upstreams have, at one release; None where they list nothing.

    ``origin`` names the upstreams. ``latest``: this is the release that installers take.
    ``handed``: there is something that they may have.
    ``own``: the page of our project beside which all this stands. ``needing``: projects here
    whose newest release needs this one.
    """

    name: str
    display_name: str
    url: str
    own: str | None
    origin: str
    status: Status
    status_reason: str | None
    standings: Sequence[Standing]
    release: TheirRelease | None
    latest: bool
    latest_version: str
    handed: bool
    install: Sequence[Command]
    history: Sequence[TheirRelease]
    releases: int
    all_releases: str
    files: Sequence[TheirFile]
    matching: int
    page: int
    pages: int
    filter: FileFilter
    needing: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TheirReleasesView:
    """Some of the releases that upstreams have of a project, newest first."""

    name: str
    display_name: str
    url: str
    total: int
    page: int
    pages: int
    releases: Sequence[TheirRelease]


def standings(relayed: Relayed) -> list[Standing]:
    """What each upstream says of the project, the first one's word being the one that counts."""
    return [
        Standing(
            upstream=source.client.name,
            status=source.record.status,
            reason=_short(source.record.status_reason),
        )
        for source in relayed.sources
    ]


def lines(found: Iterable[Release], theirs: Theirs, place: Place) -> list[TheirRelease]:
    """The releases, line by line."""
    return [TheirRelease.of(one, theirs, place) for one in found]


def _known(time: datetime) -> datetime | None:
    return None if time == UNKNOWN_TIME else time


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= _LONG else f"{text[:_LONG]}…"


def _secure(url: str | None) -> str | None:
    safe = url is not None and url.startswith("https://") and len(url) <= _LONGEST_URL
    return url if safe else None

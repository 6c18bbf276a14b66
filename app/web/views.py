"""What each page shows, as values: the templates write them, and so does JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from app.models import File, Project, ProjectSummary, Status
from app.simple import render
from app.web.downloads import DownloadsView
from app.web.facts import Facts
from app.web.ranking import Match
from app.web.releases import Release, tags

HISTORY = 20
"""Releases on a project's page; the page of all has the rest."""
FILES = 100
"""Files on a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectLine:
    """A project in a list; ``how`` it matched a search, empty elsewhere."""

    name: str
    display_name: str
    version: str
    summary: str
    updated: datetime
    status: Status
    url: str
    how: str = ""

    @classmethod
    def of(cls, summary: ProjectSummary, root: str, how: str = "") -> ProjectLine:
        """The line of a summary; URLs begin with ``root``."""
        return cls(
            name=summary.name,
            display_name=summary.display_name,
            version=summary.version,
            summary=summary.summary,
            updated=summary.updated,
            status=summary.status,
            url=f"{root}/project/{quote(summary.name)}/",
            how=how,
        )

    @classmethod
    def found(cls, match: Match, root: str) -> ProjectLine:
        """The line of a project that was searched for."""
        return cls.of(match.summary, root, match.how.name.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What projects have to be, beside what is typed; empty: anything.

    ``yanked``: some release of theirs is, or none (``yes``, ``no``). ``origin`` is upload,
    adopted or upstream.
    """

    status: str = ""
    origin: str = ""
    yanked: str = ""
    keyword: str = ""
    classifier: str = ""

    @property
    def looks_inside(self) -> bool:
        """Whether what releases say has to be known."""
        return bool(self.origin or self.yanked or self.keyword or self.classifier)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchView:
    """A page of what was found; ``total`` of all pages.

    ``missing``: of so many projects it is not known yet what they say.
    """

    query: str
    wanted: Wanted
    order: str
    total: int
    page: int
    pages: int
    missing: int
    projects: Sequence[ProjectLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a tool is told, line by line."""

    tool: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileView:
    """One file. ``yanked``: the reason, None where it is not."""

    filename: str
    url: str
    kind: str
    python: str
    abi: str
    platform: str
    size: int
    time: datetime
    uploader: str
    requires_python: str | None
    yanked: str | None
    sha256: str
    blake2b_256: str
    md5: str
    metadata: str | None
    provenance: str | None
    inside: str

    @classmethod
    def of(cls, file: File, root: str) -> FileView:
        """The view of a file; URLs begin with ``root``."""
        tagged = tags(file)
        url = f"{root}/files/{render.path(file)}"
        return cls(
            filename=file.filename,
            url=url,
            kind=file.kind.value,
            python=tagged.python,
            abi=tagged.abi,
            platform=tagged.platform,
            size=file.size,
            time=file.upload_time,
            uploader=file.uploader.id or file.uploader.kind,
            requires_python=file.requires_python,
            yanked=file.yanked,
            sha256=file.hashes.sha256,
            blake2b_256=file.hashes.blake2b_256,
            md5=file.hashes.md5,
            metadata=f"{url}.metadata" if file.offers_metadata else None,
            provenance=render.provenance(file, f"{root}/integrity/"),
            inside=f"{root}/project/{quote(file.project)}/inside/{quote(file.filename, safe='!')}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseLine:
    """A release in the history. ``yanked``: the reason, None where it is not."""

    version: str
    url: str
    time: datetime
    files: int
    size: int
    prerelease: bool
    yanked: str | None

    @classmethod
    def of(cls, project: Project, release: Release, root: str) -> ReleaseLine:
        """The line of a release."""
        version = quote(release.version, safe="!+")
        return cls(
            version=release.version,
            url=f"{root}/project/{quote(project.name)}/{version}/",
            time=release.time,
            files=len(release.files),
            size=release.size,
            prerelease=release.prerelease,
            yanked=release.yanked,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFilter:
    """Which files are shown: those with these tags, empty ones aside; and what may be chosen."""

    python: str = ""
    abi: str = ""
    platform: str = ""
    pythons: tuple[str, ...] = ()
    abis: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectView:
    """A project at one release; ``release`` is None where nothing is published.

    ``latest``: this is the release that installers take. ``origin`` is where its files come
    from: upload, adopted, or an upstream's name. ``history`` holds the newest releases.
    ``needing``: projects here whose newest release needs this one, as far as that is known.
    ``beside``: where the files are that upstreams have of a shared name.
    """

    name: str
    display_name: str
    url: str
    status: Status
    status_reason: str | None
    release: ReleaseLine | None
    latest: bool
    latest_version: str
    origin: str
    summary: str
    facts: Facts
    install: Sequence[Command]
    description: str | None
    history: Sequence[ReleaseLine]
    releases: int
    files: Sequence[FileView]
    matching: int
    page: int
    pages: int
    filter: FileFilter
    feed: str
    manageable: bool
    needing: Sequence[str] = ()
    beside: str | None = None
    downloads: DownloadsView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasesView:
    """Some of a project's releases, newest first."""

    name: str
    display_name: str
    url: str
    total: int
    page: int
    pages: int
    releases: Sequence[ReleaseLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupView:
    """How tools are told of this index."""

    base: str | None
    host: str
    commands: Sequence[Command]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorView:
    """What went wrong, as the API says it."""

    code: str
    message: str


def origin(files: Sequence[File]) -> str:
    """Where files come from; several places are joined by commas."""
    places = dict.fromkeys(file.source.removeprefix("upstream:") for file in files)
    return ", ".join(places) or "upload"


def pages(total: int, each: int) -> int:
    """So many pages there are, one at least."""
    return max(1, -(-total // each))


def filtered(files: Sequence[File], wanted: FileFilter) -> tuple[list[File], FileFilter]:
    """The files that fit, and the filter with all that may be chosen from."""
    tagged = [(file, tags(file)) for file in files]

    def choices(name: str) -> tuple[str, ...]:
        return tuple(sorted({w for _, one in tagged for w in str(getattr(one, name)).split()}))

    def fits(asked: str, has: str) -> bool:
        return not asked or asked in has.split()

    found = [
        file
        for file, one in tagged
        if fits(wanted.python, one.python)
        and fits(wanted.abi, one.abi)
        and fits(wanted.platform, one.platform)
    ]
    made = FileFilter(
        python=wanted.python,
        abi=wanted.abi,
        platform=wanted.platform,
        pythons=choices("python"),
        abis=choices("abi"),
        platforms=choices("platform"),
    )
    return found, made

"""A project's files as its page shows them: by release, newest first. Pure."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from app import names
from app.models import File, Kind, Project, Status
from app.names import canonical_version
from app.web import facts
from app.web.facts import Facts

KEPT = 500
"""So many projects, and as much metadata, are kept as they were put together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """All files of one version. ``yanked``: every one of them is, for the reason that is told."""

    version: str
    time: datetime
    files: tuple[File, ...]
    yanked: str | None
    prerelease: bool

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """For what a file is built: a wheel's tags, joined by blanks; of an sdist ``source``."""

    python: str
    abi: str = ""
    platform: str = ""


def tags(file: File) -> Tags:
    """The tags in a filename."""
    if file.kind is not Kind.WHEEL:
        return Tags(python="source")
    parts = file.filename.removesuffix(".whl").split("-")[-3:]
    python, abi, platform = (part.replace(".", " ") for part in parts)
    return Tags(python=python, abi=abi, platform=platform)


def releases(project: Project) -> tuple[Release, ...]:
    """Those with published files, newest version first; none while in quarantine (PEP 792)."""
    return () if project.status is Status.QUARANTINED else grouped(project.published)


def grouped(files: Iterable[File]) -> tuple[Release, ...]:
    """Files by release, newest version first."""
    found: dict[str, list[File]] = {}
    for file in files:
        found.setdefault(canonical_version(file.version), []).append(file)
    made = [_release(release) for release in found.values()]
    return tuple(sorted(made, key=lambda one: names.version_key(one.version), reverse=True))


def newest(found: Sequence[Release]) -> Release | None:
    """The one that installers would take: final rather than pre-release, yanked ones last."""
    return max(
        found,
        key=lambda one: names.rank(one.version, yanked=one.yanked is not None),
        default=None,
    )


def _release(files: Sequence[File]) -> Release:
    parsed = names.parse_version(files[0].version)
    reasons = [file.yanked for file in files]
    every = all(reason is not None for reason in reasons)
    return Release(
        version=files[0].version if parsed is None else str(parsed),
        time=min(file.upload_time for file in files),
        files=tuple(files),
        yanked=next((reason for reason in reasons if reason), "") if every else None,
        prerelease=parsed is None or parsed.is_prerelease,
    )


class Shelf:
    """What was put together of the projects that were looked at last: it takes time.

    Metadata is known by its hash: it never changes.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, ...], tuple[Release, ...]] = OrderedDict()
        self._facts: OrderedDict[str, Facts] = OrderedDict()

    async def facts(self, sha256: str, metadata: Callable[[], Awaitable[bytes]]) -> Facts:
        """What this metadata says."""
        if sha256 not in self._facts:
            found, _ = await asyncio.to_thread(facts.read, await metadata())
            self._facts[sha256] = found
            if len(self._facts) > KEPT:
                self._facts.popitem(last=False)
        return self._facts[sha256]

    def releases(self, project: Project) -> tuple[Release, ...]:
        """As the function of that name."""
        key = (project.name, project.generation, project.serial, project.head, project.status)
        if (found := self._kept.get(key)) is None:
            found = self._kept[key] = releases(project)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return found

"""Indexes with much in them, made without uploading: the journal alone, or the cache alone."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import msgspec
from packaging.utils import NormalizedName

from app import events
from app.cache import sql
from app.events import Event, Publication
from app.index import journal, serials
from app.models import Actor, Change, Hashes, Kind, Project

ADMIN = Actor(kind="user", id="admin")
_FIRST = datetime(2024, 1, 1, 12, 0, 0, 123456, UTC)
_CORE: dict[str, str | list[str]] = {
    "metadata_version": "2.4",
    "author_email": "Somebody <somebody@example.com>",
    "license_expression": "MIT",
    "description_content_type": "text/markdown",
    "classifiers": [
        "Development Status :: 4 - Beta",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.12",
        "Typing :: Typed",
    ],
    "requires_dist": ["packaging>=24", "httpx>=0.27", 'rich>=13; extra == "cli"'],
    "project_urls": ["Source, https://example.com/source", "Changes, https://example.com/changes"],
}


@dataclass(frozen=True, slots=True)
class Chains:
    """The records of a project, and of its files by filename."""

    name: NormalizedName
    own: bytes
    files: dict[str, bytes]

    def project(self) -> Project:
        """What they add up to."""
        files = [events.fold_file([record]) for record in self.files.values()]
        return events.fold_project([self.own], files)


def name(number: int) -> NormalizedName:
    """How the projects made here are called."""
    return NormalizedName(f"project-{number:06d}")


def chains(projects: int, files: int) -> Iterator[Chains]:
    """So many projects with so many files each, one a release."""
    for number in range(projects):
        project = name(number)
        generation = f"01J{number:023d}"
        own = events.encode(
            Event(
                v=events.VERSION,
                seq=1,
                type="claim",
                time=_FIRST,
                actor=ADMIN,
                project=project,
                generation=generation,
                display_name=f"Project-{number:06d}",
            )
        )
        made = dict(_file(project, generation, release) for release in range(files))
        yield Chains(project, own, made)


def write_journal(folder: Path, *, projects: int, files: int) -> int:
    """Write what a service writes for so many uploads, but for the bytes; how many files.

    Nothing is flushed to the disk. The serial of each project is noted, as after a while.
    """
    written = 0
    notes = folder / serials.NOTES
    notes.mkdir(parents=True)
    for serial, each in enumerate(chains(projects, files), start=1):
        _write(folder / journal.key(each.name, None, 1), each.own)
        for filename, record in each.files.items():
            _write(folder / journal.key(each.name, filename, 1), record)
            written += 1
        note = serials.Note(serial, events.fingerprint(each.project()))
        (notes / f"{each.name}.json").write_bytes(msgspec.json.encode(note))
    return written


def projects(number: int, *, files: int) -> Iterator[Project]:
    """What ``chains`` add up to; the serials are those of one after the other."""
    for serial, each in enumerate(chains(number, files), start=1):
        yield replace(each.project(), serial=serial)


def described(project: Project, summary: str) -> Project:
    """The project, with this summary in each of its files."""
    return replace(project, files=tuple(replace(file, summary=summary) for file in project.files))


def change(action: str) -> Change:
    """One of now, by the admin."""
    return Change(action=action, time=datetime.now(UTC), actor=ADMIN)


async def write_cache(url: str, *, number: int, files: int) -> None:
    """Fill a cache, as complete, with so many projects."""
    every = projects(number, files=files)
    async with sql.connect(url, {}) as cache:
        while some := list(islice(every, 1000)):
            await cache.restore(some, change("reindex"))
        await cache.set_built()


def cache_url(folder: Path) -> str:
    """The cache that ``server.environment`` names."""
    return f"sqlite+aiosqlite:///{folder / 'cache.db'}"


def fill_cache(folder: Path, *, projects: int, files: int) -> None:
    """``write_cache`` where ``server.serve`` finds it."""
    asyncio.run(write_cache(cache_url(folder), number=projects, files=files))


def _file(project: NormalizedName, generation: str, release: int) -> tuple[str, bytes]:
    version = f"1.{release // 10}.{release % 10}"
    filename = f"{project.replace('-', '_')}-{version}-py3-none-any.whl"
    digest = hashlib.sha256(filename.encode()).hexdigest()
    published = Publication(
        blob=f"blobs/{project}/01J{release:023d}/{filename}",
        version=version,
        kind=Kind.WHEEL,
        python_version="py3",
        size=12_345 + release,
        hashes=Hashes(sha256=digest, blake2b_256=digest[::-1], md5=digest[:32]),
        metadata_sha256=digest[::-1],
        metadata_static=True,
        requires_python=">=3.10",
        summary="A project made to be counted",
        core=_CORE,
    )
    return filename, events.encode(
        Event(
            v=events.VERSION,
            seq=1,
            type="publish",
            time=_FIRST + timedelta(hours=release),
            actor=ADMIN,
            project=project,
            generation=generation,
            filename=filename,
            publication=published,
        )
    )


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)

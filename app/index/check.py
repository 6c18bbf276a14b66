"""Compare cache, journal and bytes, and say what does not agree."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Literal

from app import errors
from app.cache.base import Cache
from app.index import blobs
from app.index.journal import PROJECT, Chains, Journal
from app.models import File, FileState, Project
from app.storage.base import Storage

Place = Literal["journal", "bytes", "cache"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One disagreement. ``filename`` is None where it is about the project itself."""

    place: Place
    project: str
    filename: str | None
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.project}/{self.filename or ''} {self.what}"


@dataclass(slots=True)
class Checked:
    """How much was looked at."""

    projects: int = 0
    files: int = 0
    size: int = 0


class Check:
    """One comparison; ``checked`` may be looked at meanwhile.

    What disagrees is read a second time before it is reported, for a write may have been
    under way at the first look. ``deep`` reads all bytes and compares their hashes.
    """

    def __init__(self, storage: Storage, cache: Cache, *, deep: bool = False) -> None:
        self._storage = storage
        self._cache = cache
        self._deep = deep
        self._journal = Journal(storage)
        self.checked = Checked()

    async def run(self) -> AsyncIterator[Finding]:
        """Everything that does not agree; nothing is changed."""
        names: set[str] = set()
        async for chains in self._journal.chains():
            names.add(chains.name)
            self.checked.projects += 1
            if await self._project(chains):
                for finding in await self._again(chains.name):
                    yield finding
        async for finding in self._invented(names):
            yield finding

    async def _again(self, name: str) -> list[Finding]:
        async for chains in self._journal.chains(name):
            return await self._project(chains, counted=True)
        return []

    async def _project(self, chains: Chains, *, counted: bool = False) -> list[Finding]:
        found = await self._journal.read(chains)
        findings = [
            Finding(
                place="journal",
                project=chains.name,
                filename=None if chain == PROJECT else chain,
                what=why,
            )
            for chain, why in found.broken.items()
        ]
        if found.project is None:
            return findings
        for file in found.project.files:
            if file.state is not FileState.PURGED:
                findings += [finding async for finding in self._bytes(file)]
            if not counted:
                self.checked.files += 1
                self.checked.size += file.size
        known = await self._cache.project(found.project.name)
        findings += _compare(found.project, known)
        return findings

    async def _bytes(self, file: File) -> AsyncIterator[Finding]:
        """The bytes and the core metadata are there, whole."""
        stored = await self._storage.head(file.blob)
        if stored is None:
            yield _finding("bytes", file, "are missing")
        elif stored.size != file.size:
            yield _finding("bytes", file, f"are {stored.size} long, should be {file.size}")
        elif self._deep and await self._sha256(file.blob) != file.hashes.sha256:
            yield _finding("bytes", file, "have another sha256 than recorded")
        beside = (
            ("core metadata", blobs.metadata_key(file.blob), file.metadata_sha256),
            ("provenance", blobs.provenance_key(file.blob), file.provenance_sha256),
        )
        for what, key, sha256 in beside:
            if sha256 is None:
                continue
            try:
                found = await self._sha256(key)
            except errors.KeyNotFound:
                yield _finding("bytes", file, f"have no {what} beside them")
            else:
                if found != sha256:
                    yield _finding("bytes", file, f"have other {what} than recorded")

    async def _sha256(self, key: str) -> str:
        digest = hashlib.sha256()
        async for chunk in self._storage.get(key):
            digest.update(chunk)
        return digest.hexdigest()

    async def _invented(self, names: set[str]) -> AsyncIterator[Finding]:
        after = ""
        while page := await self._cache.projects(after=after, limit=1000):
            for summary in page:
                if summary.name in names or await self._journal.whole(summary.name):
                    continue
                yield Finding(
                    place="cache",
                    project=summary.name,
                    filename=None,
                    what="is listed, and no journal knows it",
                )
            after = page[-1].name


def _compare(project: Project, known: Project | None) -> Iterator[Finding]:
    """Where the cache does not say what the journal says."""
    if known is None:
        yield Finding(
            place="cache", project=project.name, filename=None, what="is not in the cache"
        )
        return
    if known.head != project.head:
        yield Finding(place="cache", project=project.name, filename=None, what="is out of date")
    cached = {file.filename: file for file in known.files}
    for file in project.files:
        if file.filename not in cached:
            yield _finding("cache", file, "is not in the cache")
        elif cached.pop(file.filename) != file:
            yield _finding("cache", file, "is out of date in the cache")
    for file in cached.values():
        yield _finding("cache", file, "is in the cache, and no journal knows it")


def _finding(place: Place, file: File, what: str) -> Finding:
    return Finding(place=place, project=file.project, filename=file.filename, what=what)

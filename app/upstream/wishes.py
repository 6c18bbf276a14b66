"""What a mirror is to hold: requirements, and the files that list them. Pure but for reading."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from packaging.metadata import parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from app import errors, names
from app.models import Kind
from app.upstream.wanted import Wanted

_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")
_PATTERN = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._*-]*\Z")
_ELSEWHERE = frozenset(
    {"virtual", "editable", "directory", "git", "path", "url", "vcs", "archive", "file"}
)
"""What a lock file writes about packages that come from no index."""
ANY = SpecifierSet()
_INCLUDE = re.compile(r"(?:-r|--requirement)[\s=]\s*(\S+)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Releases of a project, or of all whose names match where there is a ``*``; and extras."""

    name: str
    versions: SpecifierSet = ANY
    extras: frozenset[str] = frozenset()

    @property
    def pinned(self) -> bool:
        """Whether it is about one release."""
        return any(one.operator in ("==", "===") for one in self.versions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which files of a project are kept.

    ``newest``: so many releases, all where it is None. ``platforms``: patterns of wheels'
    platform tags, all where there are none; wheels for any platform are always kept.
    """

    newest: int | None = None
    platforms: tuple[str, ...] = ()
    sdists: bool = True

    def of(self, files: Sequence[Wanted], wish: Wish) -> list[Wanted]:
        """The files that fulfil a wish."""
        releases: dict[str, list[Wanted]] = {}
        for file in files:
            if self._takes(file) and _meets(file.entry.version, wish.versions):
                releases.setdefault(names.canonical_version(file.entry.version), []).append(file)
        best = sorted(releases.values(), key=_rank, reverse=True)
        return [file for release in best[: self.newest] for file in release]

    def _takes(self, file: Wanted) -> bool:
        if file.entry.kind is not Kind.WHEEL:
            return self.sdists
        tags = file.entry.filename.removesuffix(".whl").rpartition("-")[2].split(".")
        return (
            not self.platforms
            or "any" in tags
            or any(fnmatchcase(tag, pattern) for tag in tags for pattern in self.platforms)
        )


def _rank(release: Sequence[Wanted]) -> tuple[int, names.VersionKey]:
    yanked = all(file.entry.yanked is not None for file in release)
    return names.rank(release[0].entry.version, yanked=yanked)


def _meets(version: str, wanted: SpecifierSet) -> bool:
    if not wanted:
        return True
    parsed = names.parse_version(version)
    return parsed is not None and wanted.contains(parsed, prereleases=True)


def wish(text: str) -> Wish:
    """``name``, ``acme-*`` or a requirement (PEP 508); raises errors.Invalid."""
    if "*" in text and _PATTERN.match(text):
        return Wish(name=canonicalize_name(text))
    try:
        return _wished(Requirement(text))
    except InvalidRequirement:
        raise errors.Invalid(f"{text!r:.200} is no requirement, nor a pattern of names.") from None


def required(metadata: bytes, extras: frozenset[str]) -> Iterator[Wish]:
    """What a release needs on any platform, by its core metadata; what is no PEP 508 is not."""
    for line in parse_email(metadata)[0].get("requires_dist", []):
        try:
            found = Requirement(line)
        except InvalidRequirement:
            continue
        wanted = set(map(canonicalize_name, _EXTRA.findall(str(found.marker or ""))))
        if found.url is None and (not wanted or wanted & extras):
            yield _wished(found)


def _wished(found: Requirement) -> Wish:
    extras = frozenset(map(canonicalize_name, found.extras))
    if found.url is not None:
        raise InvalidRequirement("a mirror holds what indexes have")
    return Wish(name=canonicalize_name(found.name), versions=found.specifier, extras=extras)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The wishes of a file; ``whole``: it has its tree already."""

    wishes: tuple[Wish, ...]
    whole: bool


def read(path: Path) -> Listed:
    """A requirements file, or a lock file of uv, poetry, pdm or PEP 751.

    Raises errors.Invalid for what is none.
    """
    try:
        text = path.read_text()
        if path.suffix not in (".toml", ".lock"):
            return Listed(wishes=tuple(_requirements(path, text, (path,))), whole=False)
        return Listed(wishes=tuple(_locked(tomllib.loads(text))), whole=True)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as wrong:
        raise errors.Invalid(f"{path} cannot be read: {wrong}") from None


def _requirements(path: Path, text: str, chain: tuple[Path, ...]) -> Iterator[Wish]:
    for line in text.replace("\\\n", " ").splitlines():
        said = re.sub(r"(?:\A|\s)#.*", "", line).strip()
        if (other := _INCLUDE.match(said)) is not None:
            included = path.parent / other[1]
            if included in chain:
                raise errors.Invalid(f"{path} includes itself.")
            yield from _requirements(included, included.read_text(), (*chain, included))
        elif said and not said.startswith("-"):
            yield wish(re.split(r"\s--", said)[0].strip())


def _locked(page: Mapping[str, Any]) -> Iterator[Wish]:
    packages = page.get("packages", page.get("package"))
    if not isinstance(packages, list):
        raise errors.Invalid("This is no lock file: it has no packages.")
    for one in packages:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise errors.Invalid("A package of the lock file has no name.")
        source = one.get("source")
        said = set(one) | (
            set(source) | {source.get("type")} if isinstance(source, dict) else set()
        )
        if said & _ELSEWHERE:
            continue
        version = one.get("version")
        yield wish(f"{one['name']}=={version}" if isinstance(version, str) else one["name"])


def _comes_from(package: Mapping[str, Any]) -> set[str]:
    source = package.get("source")
    if not isinstance(source, dict):
        return set(package)
    return {str(source["type"])} if "type" in source else set(source)


def named(wished: Wish) -> NormalizedName:
    """The project of a wish that is no pattern."""
    return names.normalize(wished.name)

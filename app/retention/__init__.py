"""Which releases are kept, by rules that an operator writes. Pure.

A rule never says what stays: it says what may go, and whatever a rule protects stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from types import MappingProxyType

from packaging.version import Version

from app.models import File, Project, Status
from app.names import parse_version
from app.retention.options import RetentionOptions, RuleOptions


@dataclass(frozen=True, slots=True)
class Doomed:
    """A file that may go, and the rule that says so, in words."""

    file: File
    why: str


Used = Mapping[timedelta, frozenset[str]]
"""The versions that somebody downloaded within a time; times of which it is known alone."""


def doomed(
    project: Project, options: RetentionOptions, now: datetime, used: Used = MappingProxyType({})
) -> list[Doomed]:
    """The published files that the rules let go, whole releases at a time, oldest first.

    Nothing of a project that is archived or in quarantine goes: nobody changes those.
    """
    if project.status not in (Status.ACTIVE, Status.DEPRECATED):
        return []
    releases = _releases(project)
    found: dict[Version, str] = {}
    for rule in options.rules:
        if any(fnmatchcase(project.name, pattern) for pattern in rule.projects):
            for version, why in _by(rule, releases, now, used):
                found.setdefault(version, why)
    return [
        Doomed(file, found[version])
        for version in sorted(found)
        if not _is_protected(project, version, options)
        for file in releases[version]
    ]


def _releases(project: Project) -> Mapping[Version, list[File]]:
    """The published files by version, newest first; what has no such version is no rule's."""
    found: dict[Version, list[File]] = {}
    for file in project.published:
        if (version := parse_version(file.version)) is not None:
            found.setdefault(version, []).append(file)
    return dict(sorted(found.items(), reverse=True))


def _by(
    rule: RuleOptions, releases: Mapping[Version, list[File]], now: datetime, used: Used
) -> Iterator[tuple[Version, str]]:
    """What one rule lets go. A release is as old as the newest of its files."""
    final = [version for version in releases if not version.is_prerelease]
    newest = set(list(releases)[: rule.keep_at_least])
    for version, files in releases.items():
        age = now - max(file.upload_time for file in files)
        if version in newest:
            continue
        if rule.keep is not None and version in final[rule.keep :]:
            yield version, f"not among the newest {rule.keep} releases"
        elif (
            version.is_prerelease
            and rule.prereleases_after is not None
            and age > rule.prereleases_after
        ):
            yield version, f"a pre-release older than {rule.prereleases_after}"
        elif (
            rule.yanked_after is not None
            and all(file.yanked is not None for file in files)
            and now - max(file.changed for file in files) > rule.yanked_after
        ):
            yield version, f"yanked longer than {rule.yanked_after} ago"
        elif (
            rule.unused_after is not None
            and age > rule.unused_after
            and rule.unused_after in used
            and not any(file.version in used[rule.unused_after] for file in files)
        ):
            yield version, f"nobody downloaded it for {rule.unused_after}"


def times(project: str, options: RetentionOptions) -> frozenset[timedelta]:
    """For how long it has to be known what of a project was downloaded."""
    rules = (
        rule
        for rule in options.rules
        if any(fnmatchcase(project, pattern) for pattern in rule.projects)
    )
    return frozenset(rule.unused_after for rule in rules if rule.unused_after is not None)


def _is_protected(project: Project, version: Version, options: RetentionOptions) -> bool:
    names = (project.name, f"{project.name}=={version}")
    return any(fnmatchcase(name, pattern) for pattern in options.protect for name in names)

"""What an admin sees at a glance: upstreams and rules, disk use, rights, changes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from packaging.utils import NormalizedName

from app.access.base import Grants
from app.models import Change
from app.upstream.client import COUNTS, Client
from app.upstream.rules import FileRules, Rules
from app.web.facets import Said

LARGEST = 50
"""Projects on the page of what takes room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule, by the name of its setting, and what it holds for; empty: for everything."""

    name: str
    what: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamView:
    """An upstream, as this process knows it since its start; ``host`` without credentials."""

    name: str
    host: str
    policy: str
    offline: bool
    breaker: str
    counts: Mapping[str, int]
    rules: Sequence[Rule]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamsView:
    """All of them, in the order in which they are asked, and the rules for all."""

    upstreams: Sequence[UpstreamView]
    rules: Sequence[Rule]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a project takes: bytes of its published files; ``share``: thousandths of the largest."""

    name: str
    files: int
    size: int
    share: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskView:
    """The largest projects; totals are of all that are known by now."""

    projects: int
    files: int
    size: int
    missing: int
    largest: Sequence[Room]


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsLine:
    """Who has which rights on a project. ``waiting``: it is not there (yet, or any more)."""

    project: str
    waiting: bool
    principals: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsView:
    """Grants by project; ``defaults`` hold where a project has none of its own."""

    asked: Mapping[str, str]
    defaults: Mapping[str, Sequence[str]]
    total: int
    page: int
    pages: int
    projects: Sequence[RightsLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesView:
    """Changes of the index, newest first; ``before``: where older ones begin, if there are any."""

    asked: Mapping[str, str]
    changes: Sequence[Change]
    before: int | None


def upstream(client: Client) -> UpstreamView:
    """The view of one."""
    return UpstreamView(
        name=client.name,
        host=urlsplit(client.options.url).hostname or "",
        policy=client.options.policy,
        offline=client.offline,
        breaker=client.breaker.state,
        counts={name: client.counts[name] for name in COUNTS},
        rules=[*_age(client.options.minimum_age), *file_rules(client.rules)],
    )


def rules(found: Rules) -> list[Rule]:
    """Those for names, and for the files of all upstreams."""
    names = ("reserved", "released", "shared", "merged")
    made = [Rule(name=name, what=getattr(found, name)) for name in names if getattr(found, name)]
    made += _age(found.minimum_age)
    ages = [f"{spec.text}: {age}" for spec, age in found.minimum_ages]
    if ages:
        made.append(Rule(name="minimum_ages", what=ages))
    return [*made, *file_rules(found.files)]


def file_rules(found: FileRules) -> Iterator[Rule]:
    """Those that are set."""
    names = ("no_minimum_age", "allow", "deny", "quarantine", "only_wheels", "only_attested")
    for name in names:
        if specs := getattr(found, name):
            yield Rule(name=name, what=[spec.text for spec in specs])
    if found.only_publishers:
        what = [f"{spec.text}: {who}" for spec, who in found.only_publishers]
        yield Rule(name="only_publishers", what=what)


def _age(age: timedelta | None) -> list[Rule]:
    return [] if age is None else [Rule(name="minimum_age", what=[str(age)])]


def disk(said: Mapping[NormalizedName, Said], missing: int) -> DiskView:
    """What takes most room."""
    largest = sorted(said.items(), key=lambda one: (-one[1].size, one[0]))[:LARGEST]
    most = max((one.size for _, one in largest), default=0) or 1
    return DiskView(
        projects=len(said),
        files=sum(one.files for one in said.values()),
        size=sum(one.size for one in said.values()),
        missing=missing,
        largest=[
            Room(name=name, files=one.files, size=one.size, share=round(1000 * one.size / most))
            for name, one in largest
        ],
    )


def rights(
    granted: Mapping[tuple[NormalizedName, str], Grants],
    generations: Mapping[NormalizedName, str],
    *,
    project: str,
    principal: str,
) -> Iterable[RightsLine]:
    """By project; those whose name holds ``project`` and that name ``principal``, where asked."""
    for (name, generation), grants in sorted(granted.items()):
        if project in name and (not principal or principal in grants):
            yield RightsLine(
                project=name,
                waiting=generations.get(name) != generation,
                principals={
                    who: sorted(right.value for right in grants[who]) for who in sorted(grants)
                },
            )


def fits(change: Change, *, project: str, action: str) -> bool:
    """Whether it is of the project and of the kind that were asked for, if any."""
    return project in ("", change.project) and action in ("", change.action)

"""What upstreams have of a project, and what of it may be handed out. Pure."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from packaging.utils import NormalizedName

from app.models import (
    UNKNOWN_SIZE,
    UNKNOWN_TIME,
    Actor,
    File,
    Hashes,
    Kind,
    Project,
    Status,
)
from app.upstream.client import Client
from app.upstream.entries import Record
from app.upstream.rules import Refusal, Rules
from app.upstream.wanted import Wanted

AGAIN = 0.25
"""Seconds for which an answer may be given again that is stale already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An upstream that has the project, and what it said."""

    client: Client
    record: Record

    @property
    def closed(self) -> bool:
        """Whether it has its own project in quarantine."""
        return self.record.status is Status.QUARANTINED


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """A file that may not be handed out, and the rule that says so."""

    file: Wanted
    refusal: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Relayed:
    """A project of upstreams: the files that may be handed out, and those that may not.

    The first of the sources answers for the project; there are others where that was asked for
    by name. ``until``: when the answer may be another, as far as is known.
    """

    name: NormalizedName
    sources: tuple[Source, ...]
    files: tuple[Wanted, ...]
    refused: tuple[HeldBack, ...]
    until: datetime

    @property
    def first(self) -> Record:
        """What the upstream says that answers for the project."""
        return self.sources[0].record

    @property
    def said(self) -> tuple[object, ...]:
        """Equal for what was made of the same answers."""
        return said(self.sources)

    @property
    def direct(self) -> bool:
        """Whether clients are sent to the upstreams for the bytes, whoever they are."""
        return all(source.client.direct for source in self.sources)

    def find(self, filename: str) -> Wanted | None:
        """The file of this name; allowed or not."""
        for source in self.sources:
            if (entry := source.record.find(filename)) is not None:
                return Wanted(client=source.client, name=self.name, entry=entry)
        return None


def said(sources: tuple[Source, ...]) -> tuple[object, ...]:
    """Equal for equal answers."""
    return tuple((source.client.name, source.record.asked) for source in sources)


def relayed(
    name: NormalizedName,
    sources: tuple[Source, ...],
    rules: Rules,
    now: datetime,
    *,
    kept: Set[str] | None = None,
) -> Relayed:
    """The files of the sources that rules let pass; of two of one name, the first.

    ``kept``: the files that are at hand, where others cannot be had.
    """
    found: dict[str, Wanted] = {}
    for source in () if sources[0].closed else sources:
        for entry in () if source.closed else source.record.entries:
            if kept is None or entry.filename in kept:
                file = Wanted(client=source.client, name=name, entry=entry)
                found.setdefault(entry.filename, file)
    shown: list[Wanted] = []
    refused: list[HeldBack] = []
    for file in found.values():
        refusal = decided(rules, file, now)
        if refusal is None:
            shown.append(file)
        else:
            refused.append(HeldBack(file=file, refusal=refusal))
    left = min(source.record.fresh_for - source.record.age(now) for source in sources)
    ends = [end for one in refused if (end := one.refusal.until) is not None]
    return Relayed(
        name=name,
        sources=sources,
        files=tuple(shown),
        refused=tuple(refused),
        until=min([now + timedelta(seconds=max(AGAIN, left)), *ends]),
    )


def decided(rules: Rules, file: Wanted, now: datetime) -> Refusal | None:
    """What the rules for all upstreams, and those of this one, say of a file."""
    client = file.client
    age = client.options.minimum_age
    return rules.decide(file.name, file.entry, now=now, minimum_age=age, own=client.rules)


def described(relayed: Relayed, own: Project | None) -> Project:
    """The project and its files as those of ours are known, beside ``own`` where that is shared."""
    theirs = [as_listed(file) for file in relayed.files]
    if own is not None:
        taken = {file.filename for file in own.files}
        its = own.generation
        more = [replace(file, generation=its) for file in theirs if file.filename not in taken]
        return replace(own, files=(*own.files, *more))
    first = relayed.first
    return Project(
        name=relayed.name,
        display_name=relayed.name,
        generation="",
        sequence=0,
        head="",
        status=first.status,
        status_reason=first.status_reason,
        files=tuple(theirs),
    )


def as_listed(wanted: Wanted) -> File:
    """A file as an upstream's page describes it."""
    entry, upstream = wanted.entry, wanted.client.name
    offered = entry.core_metadata
    if offered is None and entry.kind is Kind.WHEEL:
        offered = {}  # made from the wheel when somebody asks
    return File(
        project=wanted.name,
        filename=entry.filename,
        version=entry.version,
        kind=entry.kind,
        python_version="",
        size=UNKNOWN_SIZE if entry.size is None else entry.size,
        hashes=Hashes(sha256=entry.sha256 or "", blake2b_256="", md5=entry.hashes.get("md5", "")),
        blob="",
        upload_time=entry.upload_time or UNKNOWN_TIME,
        changed=entry.upload_time or UNKNOWN_TIME,
        uploader=Actor(kind="upstream", id=upstream),
        generation="",
        sequence=0,
        head="",
        metadata_sha256=None if offered is None else offered.get("sha256", ""),
        metadata_static=offered is not None,
        requires_python=entry.requires_python,
        yanked=entry.yanked,
        source=f"upstream:{upstream}",
    )

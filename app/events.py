"""The events of the journal, and what they add up to. Pure: bytes in, nouns out.

The journal is the truth. Each file, and each project, has its own gapless chain of
events, written create-only as canonical JSON (keys sorted, no blanks, UTF-8); every event
carries the sha256 of the bytes of the one before. A file's state is the fold of its events.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

import msgspec
from packaging.utils import NormalizedName

from app import errors
from app.models import Actor, File, FileState, Hashes, Kind, Project, Status

VERSION = 1
EVENT_LIMIT = 1 << 20
"""No event is longer than this many bytes."""

FileEvent = Literal[
    "publish", "yank", "unyank", "quarantine", "release", "delete", "restore", "purge"
]
ProjectEvent = Literal["claim", "status", "delete", "restore"]


class Publication(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The facts of a file, as published; they never change."""

    blob: str
    version: str
    kind: Kind
    python_version: str
    size: int
    hashes: Hashes
    metadata_sha256: str | None = None
    metadata_static: bool = False
    provenance_sha256: str | None = None
    requires_python: str | None = None
    summary: str = ""
    comment: str = ""
    source: str = "upload"
    core: Mapping[str, str | list[str]] = {}


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event. ``filename`` is None for the events of the project itself."""

    v: int
    seq: int
    type: str
    time: datetime
    actor: Actor
    project: NormalizedName
    generation: str
    prev: str | None = None
    filename: str | None = None
    display_name: str | None = None
    status: Status | None = None
    reason: str | None = None
    publication: Publication | None = None


_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Event)


def encode(event: Event) -> bytes:
    """The canonical bytes (RFC 8785 for our shapes: strings, whole numbers, booleans)."""
    return _encoder.encode(event)


def decode(record: bytes) -> Event:
    """Raises errors.JournalBroken for what is not an event."""
    try:
        return _decoder.decode(record)
    except msgspec.MsgspecError as wrong:
        raise errors.JournalBroken(f"an event cannot be read: {wrong}") from wrong


def digest(record: bytes) -> str:
    """What the next event names as ``prev``."""
    return hashlib.sha256(record).hexdigest()


def follow(records: Sequence[bytes]) -> list[Event]:
    """The events of one chain, in order.

    Raises errors.JournalBroken where one is missing, altered or out of place.
    """
    events: list[Event] = []
    head: str | None = None
    for number, record in enumerate(records, start=1):
        event = decode(record)
        where = f"{event.project}/{event.filename or '@project'} event {number}"
        if event.seq != number:
            raise errors.JournalBroken(f"{where} says that it is event {event.seq}")
        if event.prev != head:
            raise errors.JournalBroken(f"{where} does not follow the event before it")
        head = digest(record)
        events.append(event)
    return events


def fold_file(records: Sequence[bytes]) -> File:
    """The state of one file. Raises errors.JournalBroken."""
    events = follow(records)
    if not events or events[0].publication is None or events[0].filename is None:
        raise errors.JournalBroken("the events of a file do not begin with its publication")
    file = _published(events[0], events[0].publication, events[0].filename, digest(records[0]))
    for event, record in zip(events[1:], records[1:], strict=True):
        file = replace(
            _after(file, event), sequence=event.seq, head=digest(record), changed=event.time
        )
    return file


def _published(event: Event, facts: Publication, filename: str, head: str) -> File:
    return File(
        project=event.project,
        filename=filename,
        version=facts.version,
        kind=facts.kind,
        python_version=facts.python_version,
        size=facts.size,
        hashes=facts.hashes,
        blob=facts.blob,
        upload_time=event.time,
        changed=event.time,
        uploader=event.actor,
        generation=event.generation,
        sequence=event.seq,
        head=head,
        metadata_sha256=facts.metadata_sha256,
        metadata_static=facts.metadata_static,
        provenance_sha256=facts.provenance_sha256,
        requires_python=facts.requires_python,
        summary=facts.summary,
        comment=facts.comment,
        source=facts.source,
    )


def _after(file: File, event: Event) -> File:
    match event.type:
        case "yank":
            return replace(file, yanked=event.reason or "")
        case "unyank":
            return replace(file, yanked=None)
        case "quarantine":
            return replace(file, state=FileState.QUARANTINED)
        case "release" | "restore":
            return replace(file, state=FileState.PUBLISHED)
        case "delete":
            return replace(file, state=FileState.DELETED)
        case "purge":
            return replace(file, state=FileState.PURGED)
        case unknown:
            raise errors.JournalBroken(f"{file.filename} has an event of type {unknown!r}")


def fold_project(records: Sequence[bytes], files: Iterable[File] = ()) -> Project:
    """The state of a project, with the files given. Raises errors.JournalBroken."""
    events = follow(records)
    if not events or events[0].type != "claim":
        raise errors.JournalBroken("the events of a project do not begin with its claim")
    first = events[0]
    project = Project(
        name=first.project, display_name="", generation="", sequence=0, head="", files=tuple(files)
    )
    for event, record in zip(events, records, strict=True):
        project = replace(_with(project, event), sequence=event.seq, head=digest(record))
    return project


def _with(project: Project, event: Event) -> Project:
    match event.type:
        case "claim":
            return replace(
                project,
                display_name=event.display_name or project.name,
                generation=event.generation,
                deleted=False,
                status=Status.ACTIVE,
                status_reason=None,
            )
        case "status":
            return replace(
                project, status=event.status or Status.ACTIVE, status_reason=event.reason
            )
        case "delete":
            return replace(project, deleted=True)
        case "restore":
            return replace(project, deleted=False)
        case unknown:
            raise errors.JournalBroken(f"{project.name} has an event of type {unknown!r}")


def fingerprint(project: Project) -> str:
    """Equal for equal states: a digest of all heads, the project's own and its files'."""
    heads = sorted(f"{file.filename} {file.head}" for file in project.files)
    return digest("\n".join([project.head, *heads]).encode())

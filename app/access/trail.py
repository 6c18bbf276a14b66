"""The audit trail's chain, pure: each entry's head covers it and the head before.

What is hashed is the entry's JSON in one spelling, so that whoever holds an export can verify
it without us (docs/audit.md).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from app.access.ledger import Entry
from app.models import Actor

TARGET = 500
AGENT = 200
ADDRESS = 64
"""Characters that are kept of what a client may make long."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found: how many entries, the newest head, and the first flaw."""

    entries: int
    head: str
    flaw: str | None = None


def sealed(entry: Entry, number: int, before: str) -> Entry:
    """The entry as number ``number``, after one whose head is ``before``; empty for the first."""
    made = replace(
        entry,
        number=number,
        time=entry.time.astimezone(UTC),
        target=_cut(entry.target, TARGET),
        agent=_cut(entry.agent, AGENT),
        address=_cut(entry.address, ADDRESS),
        head="",
    )
    return replace(made, head=_head(made, before))


async def verify(entries: AsyncIterator[Entry]) -> Verdict:
    """Whether entries, from the first on, are gapless and say what they said when written."""
    number, head = 0, ""
    async for entry in entries:
        if entry.number != number + 1:
            return Verdict(number, head, f"entry {number + 1} is missing")
        if _head(replace(entry, head=""), head) != entry.head:
            return Verdict(number, head, f"entry {entry.number} is not what was written")
        number, head = entry.number, entry.head
    return Verdict(number, head)


def named(actor: Actor | None) -> str:
    """An actor as filters and exports name it; empty for nobody."""
    return "" if actor is None else f"{actor.kind}:{actor.id}"


def whom(action: str, target: str) -> str:
    """A target with its kind before it: that of ``user.create`` for ``alice`` is ``user:alice``."""
    return target if not target or ":" in target else f"{action.partition('.')[0]}:{target}"


def shown(entry: Entry) -> dict[str, Any]:
    """An entry as JSON says it."""
    return {
        "number": entry.number,
        "time": entry.time.isoformat(timespec="microseconds"),
        "action": entry.action,
        "actor": None if entry.actor is None else {"kind": entry.actor.kind, "id": entry.actor.id},
        "target": entry.target,
        "outcome": entry.outcome,
        "credential": entry.credential,
        "address": entry.address,
        "agent": entry.agent,
        "request": entry.request,
        "before": _plain(entry.before),
        "after": _plain(entry.after),
        "head": entry.head,
    }


def packed(entry: Entry) -> bytes:
    """One line of JSON, without its end; equal entries give equal bytes."""
    return json.dumps(shown(entry), separators=(",", ":"), sort_keys=True).encode()


def unpacked(line: bytes) -> Entry:
    """The entry of such a line; ValueError and KeyError for what is none."""
    told = json.loads(line)
    actor = told["actor"]
    return Entry(
        number=told["number"],
        time=datetime.fromisoformat(told["time"]),
        action=told["action"],
        actor=None if actor is None else Actor(kind=actor["kind"], id=actor["id"]),
        target=told["target"],
        outcome=told["outcome"],
        credential=told["credential"],
        address=told["address"],
        agent=told["agent"],
        request=told["request"],
        before=told["before"],
        after=told["after"],
        head=told["head"],
    )


def _head(entry: Entry, before: str) -> str:
    return hashlib.sha256(before.encode() + b"\n" + packed(entry)).hexdigest()


def _plain(facts: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if facts is None else json.loads(json.dumps(dict(facts), default=_spelled))


def _spelled(value: object) -> object:
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


def _cut(text: str, most: int) -> str:
    """At most so many characters, none that a database or a log cannot hold."""
    return "".join(char if char.isprintable() else "?" for char in text[:most])

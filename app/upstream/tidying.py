"""Removing what is kept of upstreams and can never be handed out again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from packaging.utils import NormalizedName
from ulid import ULID

from app import errors
from app.storage.base import Storage
from app.upstream import turns
from app.upstream.kept import FILES
from app.upstream.upstreams import Upstreams

LIFE = timedelta(days=1)
"""After which an attempt to keep a file has ended, one way or the other."""


@dataclass(slots=True)
class Tidied:
    """What was removed: bytes of attempts that ended badly, and files under names of ours."""

    orphans: int = 0
    ours: int = 0


async def tidy(upstreams: Upstreams, storage: Storage, *, apply: bool) -> Tidied:
    """One round over all that is kept; nothing is removed unless ``apply``."""
    tidied, shelf = Tidied(), upstreams.shelf
    async for name, kept in shelf.all():
        try:
            await upstreams.require_free(name)
        except errors.ProjectNotFound:
            tidied.ours += 1
            if apply:
                await shelf.remove(name, kept)
    async for stored in storage.scan(FILES):
        project, attempt, filename = _parts(stored.key)
        if attempt is None or datetime.now(UTC) - attempt.datetime < LIFE:
            continue
        found = await shelf.find(NormalizedName(project), filename)
        if found is None or found.blob != stored.key:
            tidied.orphans += 1
            if apply:
                await storage.delete(stored.key)
    await _tidy_turns(storage, tidied, apply=apply)
    return tidied


async def _tidy_turns(storage: Storage, tidied: Tidied, *, apply: bool) -> None:
    """Those of processes that were killed, and after whom nobody asked again."""
    async for stored in storage.scan(turns.ROOT):
        if datetime.now(UTC) - stored.modified >= LIFE:
            tidied.orphans += 1
            if apply:
                await storage.delete(stored.key)


def _parts(key: str) -> tuple[str, ULID | None, str]:
    name, _, rest = key.removeprefix(FILES).partition("/")
    attempt, _, filename = rest.partition("/")
    try:
        return name, ULID.from_str(attempt), filename
    except ValueError:
        return name, None, filename

"""Writing the audit trail: nothing is dropped unsaid, and no flood of refusals fills it.

What was changed is appended before the request is answered. Refusals are written beside the
requests: so many a minute one by one, of the others only how many there were.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from app import errors
from app.access import trail
from app.access.ledger import Entry, Trail
from app.access.limits import network_of

logger = logging.getLogger(__name__)

BACKLOG = 1000
"""Entries that wait while the ledger does not answer."""
MINUTE = 60.0
PAUSE = 1.0
"""Seconds between attempts to write what waits."""

Ship = Callable[[Entry], None]
Resolve = Callable[[str], Awaitable[bool]]
Addresses = Literal["full", "network", "none"]


class Chronicle:
    """The trail as one process writes it.

    ``ship`` hands a written entry on, and returns at once. ``exists`` says whether a user is
    there: a name that somebody typed is kept only then, for it may be a password.
    """

    def __init__(
        self,
        kept: Trail,
        *,
        exists: Resolve,
        ship: Ship | None = None,
        failures: int = 60,
        addresses: Addresses = "full",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kept, self._exists, self._ship = kept, exists, ship
        self._failures, self._addresses, self._clock = failures, addresses, clock
        self._backlog: deque[tuple[Entry, str | None]] = deque()
        self._minute = clock()
        self._written = 0
        self._more: Counter[str] = Counter()

    async def append(self, entry: Entry) -> None:
        """Write what was done. Where the ledger does not answer it waits here, and in the log."""
        entry = self._seen_from(entry)
        try:
            self._hand_on(await self._kept.append(entry))
        except errors.Unavailable as error:
            line = trail.packed(trail.sealed(entry, 0, "")).decode()
            logger.error("an entry of the audit trail waits (%s): %s", error, line)
            self._wait(entry, None)

    def note(self, entry: Entry, typed: str | None = None) -> None:
        """Write a refusal soon, or count it. ``typed``: the name it concerns, as it was typed."""
        self._turn_over()
        if self._written >= self._failures:
            self._more[entry.action] += 1
            return
        self._written += 1
        self._wait(self._seen_from(entry), typed)

    def told(self, action: str, target: str) -> None:
        """Write an event that no request did."""
        logger.warning("%s: %s", action, target)
        now = datetime.now(UTC)
        self.note(
            Entry(number=0, time=now, action=action, actor=None, target=target, outcome="seen")
        )

    async def run(self) -> None:
        """Write what waits, until cancelled."""
        failing = ""
        while True:
            await asyncio.sleep(PAUSE)
            try:
                await self.flush()
                failing = ""
            except errors.Unavailable as error:
                if str(error) != failing:
                    logger.warning("entries of the audit trail wait: %s", error)
                failing = str(error)
            except Exception:  # a task that ends writes nothing any more
                logger.exception("entries of the audit trail wait")

    async def flush(self, *, last: bool = False) -> None:
        """Write what waits now; with ``last`` also the counts of the minute that is not over."""
        self._turn_over(last=last)
        while self._backlog:
            entry, typed = self._backlog[0]
            if typed is not None:
                known = await self._exists(typed)
                entry = replace(entry, target=f"user:{typed.lower()}" if known else "user:?")
            made = await self._kept.append(entry)
            self._backlog.popleft()
            self._hand_on(made)

    def _wait(self, entry: Entry, typed: str | None) -> None:
        if len(self._backlog) >= BACKLOG:
            logger.error("the audit trail does without an entry: %s", entry.action)
            return
        self._backlog.append((entry, typed))

    def _turn_over(self, *, last: bool = False) -> None:
        """A new minute: what the one before had too many of becomes one entry each."""
        if not last and self._clock() - self._minute < MINUTE:
            return
        self._minute, self._written = self._clock(), 0
        for action, count in self._more.items():
            now = datetime.now(UTC)
            entry = Entry(
                number=0, time=now, action=action, actor=None, target="", outcome="counted"
            )
            self._wait(replace(entry, after={"more": count}), None)
        self._more.clear()

    def _hand_on(self, entry: Entry) -> None:
        if self._ship is not None:
            self._ship(entry)

    def _seen_from(self, entry: Entry) -> Entry:
        if self._addresses == "full" or not entry.address:
            return entry
        return replace(
            entry, address=_coarse(entry.address) if self._addresses == "network" else ""
        )


def _coarse(address: str) -> str:
    """The /24 or /64 that it is in."""
    client = network_of(address)
    parts = client.split(".")
    return f"{'.'.join(parts[:3])}.0/24" if len(parts) == 4 else client

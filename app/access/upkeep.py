"""What is done in a ledger beside answering: last uses, sweeping, the end of a user."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from app import errors
from app.access.chronicle import Chronicle
from app.access.ledger import Ledger, Tokens

logger = logging.getLogger(__name__)

FLUSH = 5.0
"""Seconds between writing what was used."""
SWEEP = 3600.0
NOTED = timedelta(minutes=1)
MOST = 10_000
"""Tokens whose last use is remembered; of more, some are not noted."""


async def end(ledger: Ledger, user: str) -> Mapping[str, int]:
    """Revoke all that a user who is gone could still send; how many of each there were."""
    return {
        "tokens": await ledger.tokens.revoke_all(user),
        "sessions": await ledger.sessions.end_all(user),
        "subjects": await ledger.subjects.release(user),
    }


class LastUses:
    """When tokens were last used, kept here until it is written: once a minute for each."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._waiting: dict[str, datetime] = {}
        self._noted: dict[str, datetime] = {}

    def __call__(self, id: str, now: datetime) -> None:
        """A token was used; returns at once."""
        if now - self._noted.get(id, datetime.min.replace(tzinfo=UTC)) >= NOTED:
            if len(self._noted) >= MOST:
                self._noted.clear()
            if len(self._waiting) < MOST:
                self._noted[id] = self._waiting[id] = now

    async def flush(self) -> None:
        """Write what waits. What the ledger does not take is given up until the next use."""
        waiting, self._waiting = self._waiting, {}
        for id, used in waiting.items():
            try:
                await self._tokens.used(id, used)
            except errors.Unavailable:
                self._noted.pop(id, None)
                raise


@asynccontextmanager
async def keep(ledger: Ledger, chronicle: Chronicle, uses: LastUses) -> AsyncIterator[None]:
    """Keep a ledger while the block runs; what waits is written at the end."""
    tasks = [
        asyncio.create_task(chronicle.run()),
        asyncio.create_task(_every(FLUSH, uses)),
        asyncio.create_task(_every(SWEEP, _Sweep(ledger))),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await uses.flush()
            await chronicle.flush(last=True)
        except errors.Unavailable as error:
            logger.error("what waited for the ledger is not written: %s", error)


class _Sweep:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def flush(self) -> None:
        now = datetime.now(UTC)
        for kept in (
            self._ledger.tokens,
            self._ledger.sessions,
            self._ledger.once,
            self._ledger.attempts,
        ):
            await kept.sweep(now)


async def _every(pause: float, work: LastUses | _Sweep) -> None:
    while True:
        await asyncio.sleep(pause)
        try:
            await work.flush()
        except errors.PypicloudError as why:
            logger.warning("will be tried again: %s", why)
        except Exception:  # a task that ends keeps nothing any more
            logger.exception("will be tried again")

"""Opening the ledger of each SQL database, as several processes do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from app.access import engines
from app.access.ledger_sql import SqlLedger

TIMEOUT = timedelta(seconds=30)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[SqlLedger]:
    """The ledger at a URL, on connections of its own."""
    async with engines.opened(url, {"timeout": TIMEOUT}) as database:
        yield SqlLedger(database.plain)

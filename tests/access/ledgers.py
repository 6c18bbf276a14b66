"""Opening the ledger of each SQL database, as several processes do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import make_url

from app import sql, sqlite
from app.access.ledger_sql import SqlLedger, lay_out
from app.sql import mysql, postgresql

TIMEOUT = 30.0


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[SqlLedger]:
    """The ledger at a URL, on connections of its own."""
    parsed = make_url(url)
    path = sqlite.file_of(parsed)
    if parsed.get_backend_name() == "sqlite" and path is not None:
        await asyncio.to_thread(sqlite.prepare, path, timeout=TIMEOUT)
        engines = sqlite.engines(parsed, timeout=TIMEOUT)
    else:
        dialect = {"postgresql": postgresql.DIALECT, "mysql": mysql.DIALECT}[
            parsed.get_backend_name()
        ]
        engines = sqlite.Engines(
            sql.engine(dialect, parsed, size=1, timeout=TIMEOUT),
            sql.engine(dialect, parsed, size=4, timeout=TIMEOUT, autocommit=True),
        )
    try:
        async with engines.write.begin() as connection:
            await connection.run_sync(lay_out)
        yield SqlLedger(engines)
    finally:
        await engines.dispose()

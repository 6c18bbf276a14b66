"""PostgreSQL, and MySQL or MariaDB, as every room that keeps rows in them needs them.

A connection that rested is asked whether it still lives before it is used, and one that turns
out to lead to a server that may no longer be written to is not used again: a failover is
survived without a restart. Nothing is waited for without end.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import URL, Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from app import errors, plugins

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

CONNECT_TIMEOUT = 5.0
"""Seconds until a connection must stand."""
RESTED = 1.0
"""Seconds after which a connection is asked first, which costs a round trip."""
RECYCLE = 900
"""Seconds that a connection lives: gateways forget idle ones, balancers want to move them."""
MARGIN = 1.0
"""Seconds that we wait longer than the server is told to: its answer spares the connection."""
DEADLINE = "deadline"
"""The execution option with the asyncio.Timeout that each statement begins anew."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between the databases. Errors are named by ``kind``.

    ``again``: the transaction was only unlucky. ``absent``: a table is not there.
    ``demoted``: the server is not the one that takes writes. ``refused``: a person must help.
    """

    driver: str
    arguments: Callable[[URL, float], tuple[URL, dict[str, Any]]]
    again: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()
    demoted: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)


def engine(
    dialect: Dialect, url: URL, *, size: int, timeout: float, autocommit: bool = False
) -> AsyncEngine:
    """An engine of at most ``size`` connections; ``timeout`` seconds for each statement.

    With ``autocommit`` a statement is a single round trip, and no transaction. Raises
    errors.Misconfigured for a URL that cannot work.
    """
    from sqlalchemy.ext.asyncio import create_async_engine  # 8 MB, and not for SQLite

    url, arguments = dialect.arguments(url.set(drivername=dialect.driver), timeout)
    try:
        made = create_async_engine(
            url,
            connect_args=arguments,
            pool_size=size,
            max_overflow=0,
            pool_timeout=timeout,
            pool_recycle=RECYCLE,
            pool_use_lifo=True,
            isolation_level="AUTOCOMMIT" if autocommit else "READ COMMITTED",
            skip_autocommit_rollback=autocommit,
            hide_parameters=True,
        )
    except ModuleNotFoundError as missing:
        scheme = url.get_backend_name()
        reason = (
            f"{scheme} needs {missing.name}, which is not installed{plugins.brought_by(scheme)}"
        )
        raise errors.Misconfigured(reason) from missing

    def live(connection: DBAPIConnection, entry: ConnectionPoolEntry, _: object) -> None:
        if time.monotonic() - entry.info.get("rested", 0.0) > RESTED:
            try:
                made.dialect.do_ping(connection)
            except (DBAPIError, made.dialect.loaded_dbapi.Error, OSError) as error:
                raise DisconnectionError from error

    def judge(context: ExceptionContext) -> None:
        if kind(context.original_exception) in dialect.demoted:
            context.is_disconnect = True

    event.listen(made.sync_engine, "checkout", live)
    event.listen(made.sync_engine, "checkin", _rest)
    event.listen(made.sync_engine, "connect", _rest)
    event.listen(made.sync_engine, "handle_error", judge)
    event.listen(made.sync_engine, "before_cursor_execute", _begin_anew(timeout))
    return made


def kind(error: BaseException) -> str:
    """The error's name or number; never its text, which may quote a row."""
    original = getattr(error, "orig", None) or error
    if original.args and isinstance(original.args[0], int):
        return str(original.args[0])
    for name in ("sqlite_errorname", "sqlstate"):
        if isinstance(found := getattr(original, name, None), str):
            return found
    return type(original).__name__


def encrypted(url: URL, *, authority: str, wanted: str) -> tuple[URL, ssl.SSLContext | None]:
    """The URL without what it says of TLS, and that as a context.

    ``authority`` and ``wanted`` are the parameters that name a file of certificates, and that
    ask for TLS (anything but ``disable`` and ``false`` does). Certificates are verified.
    """
    said = {name: str(url.query[name]) for name in (authority, wanted) if name in url.query}
    url = url.difference_update_query([authority, wanted])
    if said.get(wanted) in ("disable", "false") or not said:
        return url, None
    try:
        return url, ssl.create_default_context(cafile=said.get(authority))
    except (OSError, ssl.SSLError) as error:
        reason = f"The file that {authority} names cannot be read ({type(error).__name__})."
        raise errors.Misconfigured(reason) from error


def _rest(_: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    entry.info["rested"] = time.monotonic()


def _begin_anew(timeout: float) -> Callable[..., None]:
    def begin(connection: Connection, *_: object) -> None:
        deadline = cast("asyncio.Timeout | None", connection.get_execution_options().get(DEADLINE))
        if deadline is not None:
            deadline.reschedule(asyncio.get_running_loop().time() + timeout + MARGIN)

    return begin

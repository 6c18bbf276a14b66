"""MySQL and MariaDB, by asyncmy: how to reach them, and what their errors mean."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL

from app import sql


def arguments(url: URL, timeout: float) -> tuple[URL, dict[str, Any]]:
    """What asyncmy is given. ``ssl=true`` or ``ssl_ca=FILE`` asks for TLS.

    The server ends what takes longer than ``timeout`` seconds, and (MariaDB) what an app that
    is gone left open. Too long a value is an error, never cut.
    """
    url, context = sql.encrypted(url, authority="ssl_ca", wanted="ssl")
    seconds = max(1, int(timeout))
    given: dict[str, Any] = {
        "charset": "utf8mb4",
        "connect_timeout": sql.CONNECT_TIMEOUT,
        "init_command": (
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', "
            f"/*M! max_statement_time = {seconds}, idle_transaction_timeout = {2 * seconds}, */ "
            f"innodb_lock_wait_timeout = {seconds}"
        ),
    }
    return url, given | ({} if context is None else {"ssl": context})


DIALECT = sql.Dialect(
    driver="mysql+asyncmy",
    arguments=arguments,
    again=frozenset({"1020", "1205", "1213"}),
    absent=frozenset({"1146"}),
    # Read-only: it is a replica now. Or it is on its way down.
    demoted=frozenset({"1053", "1290", "1792", "1836"}),
    refused={
        "1044": "the user has no right to the database: GRANT ALL ON it",
        "1045": "user or password is wrong",
        "1049": "there is no such database: CREATE DATABASE it first",
        "1142": "the user may not make tables there: GRANT ALL ON the database",
        "1698": "user or password is wrong",
    },
)

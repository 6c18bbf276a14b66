"""PostgreSQL, by asyncpg: how to reach it, and what its errors mean."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL

from app import sql

_NO_RIGHT = "the user may not make tables there: GRANT CREATE ON SCHEMA public TO it"


def arguments(url: URL, timeout: float) -> tuple[URL, dict[str, Any]]:
    """What asyncpg is given; ``sslmode`` means what it means to every PostgreSQL client.

    The server ends what takes longer than ``timeout`` seconds, and what an app that is gone
    left open.
    """
    given: dict[str, Any] = {
        "timeout": sql.CONNECT_TIMEOUT,
        "server_settings": {
            "application_name": "pypicloud",
            "statement_timeout": str(int(timeout * 1000)),
            "idle_in_transaction_session_timeout": str(int(timeout * 2000)),
        },
    }
    if "sslrootcert" in url.query:
        url, given["ssl"] = sql.encrypted(url, authority="sslrootcert", wanted="sslmode")
    elif mode := url.query.get("sslmode"):
        url = url.difference_update_query(["sslmode"])
        given["ssl"] = mode
    return url, given


DIALECT = sql.Dialect(
    driver="postgresql+asyncpg",
    arguments=arguments,
    again=frozenset({"40001", "40P01"}),
    absent=frozenset({"42P01"}),
    # A standby took the place of the primary; or the server is on its way up or down.
    demoted=frozenset({"25006", "57P01", "57P02", "57P03"}),
    refused={
        "28P01": "user or password is wrong",
        "28000": "the user is not let in",
        "3D000": "there is no such database: make it first",
        "42501": _NO_RIGHT,
    },
)

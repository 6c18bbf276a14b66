"""What tables need to be the same in SQLite, PostgreSQL, MySQL and MariaDB."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, String, text

MYSQL = ("mysql", "mariadb")
OPTIONS: dict[str, Any] = {
    f"{name}_{option}": value
    for name in MYSQL
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}
"""Options of every table."""

_LOCK = 0x7079706963
_NAME = "MD5(CONCAT(DATABASE(), '/pypicloud'))"


def key(length: int) -> String:
    """Text that is compared and ordered by code points, everywhere."""
    return (
        String(length)
        .with_variant(String(length, collation="C"), "postgresql")
        .with_variant(String(length, collation="utf8mb4_bin"), *MYSQL)
    )


class Alone:
    """Keeps the processes that start at once from making the same tables at once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        elif self._connection.dialect.name in MYSQL:
            self._connection.execute(text(f"SELECT GET_LOCK({_NAME}, 60)"))

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        # A connection that was lost has lost the lock too.
        if self._connection.dialect.name in MYSQL and not self._connection.invalidated:
            if failed is None:
                # Making tables committed already; what was written after it must stand before
                # the next process looks.
                self._connection.execute(text("COMMIT"))
            self._connection.execute(text(f"SELECT RELEASE_LOCK({_NAME})"))

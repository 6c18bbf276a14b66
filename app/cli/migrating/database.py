"""The access database of a PyPICloud 1, read; SQLAlchemy is imported where this is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Row, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from app import errors, sql
from app.access.principals import AUTHENTICATED, EVERYONE
from app.cli.migrating.people import Found
from app.models import Permission
from app.sql import mysql, postgresql

TIMEOUT = 30.0
"""Seconds for a statement."""
_DIALECTS = {"postgresql": postgresql.DIALECT, "mysql": mysql.DIALECT}
_SERVERS = {"postgresql": "postgresql", "postgres": "postgresql", "mysql": "mysql"}
_EVERYBODY = (EVERYONE, AUTHENTICATED)
_TABLES = (
    "pypicloud_users", "pypicloud_groups", "pypicloud_user_groups",
    "pypicloud_user_permissions", "pypicloud_group_permissions", "pypicloud_keyvals",
)  # fmt: skip
_Rows = Mapping[str, list[Row[Any]]]


def checked(option: str, text: str) -> None:
    """Raises errors.Misconfigured for what is no URL of SQLAlchemy's."""
    _parsed(option, text)


def server(option: str, text: str) -> str:
    """Our URL of the same server; empty for a file."""
    url = _parsed(option, text)
    scheme = _SERVERS.get(url.get_backend_name())
    if scheme is None:
        return ""
    bare = url.set(drivername=scheme).difference_update_query(["charset", "use_unicode"])
    return bare.render_as_string(hide_password=False)


def _parsed(option: str, text: str) -> URL:
    try:
        return make_url(text)
    except ArgumentError:
        raise errors.Misconfigured(f"{option} is no URL of SQLAlchemy's") from None


async def in_database(text: str, folder: Path) -> Found:
    """Who stands in the database; the path of a file begins at ``folder``.

    Raises errors.Misconfigured where it cannot be read.
    """
    url = _parsed("auth.db.url", text)
    if url.get_backend_name() == "sqlite" and url.database:
        url = url.set(database=str(folder / url.database))
    rows = await _rows(url)
    found = Found()
    for row in rows["pypicloud_users"]:
        found.user(row.username, row.password, admin=bool(row.admin), pending=bool(row.pending))
    for row in rows["pypicloud_groups"]:
        found.group(row.name, ())
    for row in rows["pypicloud_user_groups"]:
        found.group(row._mapping["group"], [row.username])
    _granted(found, rows["pypicloud_user_permissions"], "user", "username")
    _granted(found, rows["pypicloud_group_permissions"], "group", "groupname")
    for row in rows["pypicloud_keyvals"]:
        if row.key == "allow_register":
            found.registration = row.value == "true"
    return found


def _granted(found: Found, rows: Iterable[Row[Any]], kind: str, column: str) -> None:
    there = found.accounts if kind == "user" else {*found.groups, *_EVERYBODY}
    for row in rows:
        name = row._mapping[column]
        if name.lower() not in there:
            found.left.append(f"a permission of {kind} {name!r} on {row.package!r}: who is gone")
            continue
        rights = [(row.read, Permission.READ), (row.write, Permission.UPLOAD)]
        found.grant(row.package, kind, name, frozenset(one for has, one in rights if has))


async def _rows(url: URL) -> _Rows:
    backend = url.get_backend_name()
    if backend not in (*_DIALECTS, "sqlite"):
        raise errors.Misconfigured(f"auth.db.url: users cannot be read from {backend!r}.")
    where = url.database if backend == "sqlite" else f"{url.database!r} on {url.host}"
    try:
        engine = _engine(url)
        try:
            async with engine.connect() as connection:
                return await _read(connection, str(where))
        finally:
            await engine.dispose()
    except (SQLAlchemyError, OSError) as error:
        raise errors.Misconfigured(
            f"auth.db.url: the users in {where} cannot be read ({sql.kind(error)})."
        ) from error


def _engine(url: URL) -> Any:
    backend = url.get_backend_name()
    if backend == "sqlite":
        # Read-only, so that a wrong path makes no file.
        return create_async_engine(
            URL.create(
                "sqlite+aiosqlite",
                database=f"file:{url.database}",
                query={"mode": "ro", "uri": "true"},
            )
        )
    bare = url.set(drivername=backend).difference_update_query(["charset", "use_unicode"])
    return sql.engine(_DIALECTS[backend], bare, size=1, timeout=TIMEOUT)


async def _read(connection: AsyncConnection, where: str) -> _Rows:
    there = await connection.run_sync(lambda plain: inspect(plain).get_table_names())
    if "pypicloud_users" not in there:
        raise errors.Misconfigured(f"auth.db.url: {where} has no users of PyPICloud's.")
    found: dict[str, list[Row[Any]]] = {}
    for table in _TABLES:
        query = text(f"SELECT * FROM {table}")  # noqa: S608  # names of ours
        found[table] = list(await connection.execute(query)) if table in there else []
    return found

"""Users on a database server: what cannot be reached, failures, and many replicas at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from packaging.utils import NormalizedName
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from app import errors
from app.access.base import UNBOUND
from app.access.sql import SqlAccess, connect
from app.testing.access import CROWD, FLASK, MANAGE, OTHER, PASSWORD, READ, UPLOAD
from tests.access.conftest import CHEAP
from tests.servers import mariadb, postgresql

PATIENT = {**CHEAP, "timeout": timedelta(seconds=60)}
SERVERS = {"postgresql": postgresql.database, "mariadb": mariadb.database}


@pytest.fixture(params=SERVERS)
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """Where the users are kept; nobody has been there yet."""
    async with SERVERS[request.param]() as found:
        yield found


async def test_a_database_that_is_not_there_is_one_clear_line(url: str) -> None:
    """What a person must mend is said with the cure; what may come back is unavailable."""
    parsed = make_url(url)
    missing = parsed.set(database="nowhere").render_as_string(hide_password=False)
    with pytest.raises(errors.Misconfigured, match="there is no such database"):
        async with connect(missing, CHEAP):
            raise AssertionError
    unknown = f"{url}?no_such_parameter=1"
    with pytest.raises(errors.Misconfigured):
        async with connect(unknown, CHEAP):
            raise AssertionError
    silent = parsed.set(port=1).render_as_string(hide_password=False)
    with pytest.raises(errors.AccessUnavailable, match="does not answer"):
        async with connect(silent, CHEAP):
            raise AssertionError


async def test_a_lost_connection_costs_nothing(url: str) -> None:
    """When the server has ended every connection, the next questions and edits are answered."""
    async with connect(url, CHEAP) as access:
        await access.add_user("alice", PASSWORD)
        await end_all(url)
        assert await access.identify("alice", PASSWORD) is not None
        await end_all(url)
        await access.set_admin("alice", True)
        user = await access.user("alice")
        assert user is not None
        assert user.admin


async def test_replicas_that_start_and_edit_together(url: str) -> None:
    """Of many that begin at once all open it; of racing edits each is done once, none fails."""

    async def edit(number: int, access: SqlAccess) -> None:
        for user in ("ada", "bob"):
            await access.set_member("web", user, bool(number % 2))
            await access.grant(FLASK, "g1", f"user:{user}", frozenset({READ, UPLOAD, MANAGE}))
            await access.set_disabled(user, False)
        await access.add_user(f"u{number}", OTHER)
        await access.load(CROWD)

    async def replica(number: int) -> None:
        async with connect(url, PATIENT) as access:
            if number == 0:
                await access.load(CROWD)
                await access.add_group("web")
                await access.grant(FLASK, UNBOUND, "everyone", frozenset({READ}))
                ready.set()
            await ready.wait()
            await asyncio.gather(*(edit(4 * number + step, access) for step in range(4)))
            await access.bind(FLASK, "g1")

    ready = asyncio.Event()
    await asyncio.gather(*(replica(number) for number in range(4)))
    async with connect(url, CHEAP) as access:
        assert len(await access.users()) == len(CROWD.accounts) + 16
        assert (await access.grants(FLASK, "g1"))["user:bob"] == {READ, UPLOAD, MANAGE}
        assert await access.grants(FLASK, "g2") == {}
        assert await access.grants(NormalizedName("other"), None) != {}


async def test_one_of_many_replicas_adds_a_user(url: str) -> None:
    """Of racing additions of one name one succeeds, whichever replica it came from."""
    async with connect(url, CHEAP) as first, connect(url, CHEAP) as second:
        adding = [access.add_user("alice", PASSWORD) for access in (first, second) * 4]
        answers = await asyncio.gather(*adding, return_exceptions=True)
        assert [type(answer) for answer in answers].count(type(None)) == 1
        assert {type(answer) for answer in answers} == {type(None), errors.UserExists}


async def end_all(url: str) -> None:
    """Have the server end all connections to the database but one's own."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            if url.startswith("postgresql"):
                await connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )
                return
            others = await connection.execute(
                text(
                    "SELECT id FROM information_schema.processlist"
                    " WHERE db = DATABASE() AND id <> CONNECTION_ID()"
                )
            )
            for number in others.scalars().all():
                await connection.execute(text(f"KILL {number}"))
    finally:
        await engine.dispose()

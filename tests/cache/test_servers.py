"""The cache in a database server: which stops, freezes, refuses, and comes back."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from sqlalchemy import make_url, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine

from app import errors
from app.cache import schema, sql
from app.cache.base import Cache
from app.testing.cache import ALPHA, CHANGE, make_file, make_project
from tests.cache.conftest import execute
from tests.servers import mariadb, postgresql
from tests.servers.running import Running, own, stop

QUICK = 6.0
"""Seconds within which a server that is gone is noticed, on a busy machine too."""


class Own(NamedTuple):
    """A server that one test may stop: where it is now, and how it is started again."""

    running: Running
    url: str
    resume: Callable[[Path, int], Running]


@pytest.fixture(params=["postgresql", "mariadb"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Own]:
    """A server of the test's own, of each kind."""
    folder = tmp_path_factory.mktemp("s")
    if request.param == "postgresql":
        with own(postgresql.start_postgresql, folder) as running:
            url = postgresql.server_url(running)
            yield Own(running, url, postgresql.resume_postgresql)
    else:
        with own(mariadb.start_mariadb, folder) as running:
            yield Own(running, mariadb.server_url(running, "mysql"), mariadb.resume_mariadb)


@pytest.fixture(params=["postgresql", "mariadb"])
async def shared_url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """An empty database of each shared server."""
    database = {"postgresql": postgresql.database, "mariadb": mariadb.database}[request.param]
    async with database() as url:
        yield url


@pytest.fixture(params=["postgresql", "mariadb"])
def secured(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of a server with TLS, with the parameter that names whom to trust."""
    folder = tmp_path_factory.mktemp("s")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    leaf = authority.issue_cert("127.0.0.1")
    leaf.private_key_pem.write_to_path(str(folder / "key.pem"))
    leaf.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    (folder / "key.pem").chmod(0o600)
    if request.param == "postgresql":
        with own(postgresql.start_postgresql, folder) as running:
            asked = f"sslmode=verify-full&sslrootcert={folder}/ca.pem"
            yield f"{postgresql.server_url(running)}?{asked}"
    else:
        with own(mariadb.start_mariadb, folder) as running:
            yield f"{mariadb.server_url(running, 'mysql')}?ssl_ca={folder}/ca.pem"


async def seconds(call: Awaitable[object]) -> float:
    """How long it took to be told that the cache is not there."""
    began = time.monotonic()
    with pytest.raises(errors.CacheUnavailable):
        await call
    return time.monotonic() - began


async def answered(call: Callable[[], Awaitable[object]], limit: float = 20) -> float:
    """How long it took until there was an answer again."""
    began = time.monotonic()
    while True:
        try:
            await call()
        except errors.CacheUnavailable:
            if time.monotonic() - began > limit:
                raise
        else:
            return time.monotonic() - began


def family(pid: int) -> list[int]:
    """A process and its children, which PostgreSQL puts into groups of their own."""
    every = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [pid, *(one for one in every if parent(one) == pid)]


def parent(pid: int) -> int | None:
    """Whose child it is; None where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def tell(processes: list[int], number: signal.Signals) -> None:
    """Send a signal to those that still live."""
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


async def filled(cache: Cache) -> None:
    """Something to ask for."""
    await cache.restore([make_project(ALPHA, make_file("1.0"))], CHANGE)
    await asyncio.gather(*(cache.project(ALPHA) for _ in range(8)))


async def test_a_server_that_stops_and_comes_back(server: Own) -> None:
    """While it is away calls fail quickly; once it is back they work, without a restart."""
    running = server.running
    async with sql.connect(server.url, {}) as cache:
        await filled(cache)
        await asyncio.to_thread(stop, running)
        assert await seconds(cache.project(ALPHA)) < QUICK
        assert await seconds(cache.save(make_file("2.0"), CHANGE)) < QUICK
        port, folder = running.ports["sql"], Path(running.folder)
        again = await asyncio.to_thread(server.resume, folder, port)
        try:
            assert await answered(lambda: cache.project(ALPHA)) < QUICK
            assert await answered(lambda: cache.save(make_file("2.0"), CHANGE)) < QUICK
            found = await cache.project(ALPHA)
            assert found is not None
            assert {file.version for file in found.files} == {"1.0", "2.0"}
        finally:
            await cache.serial()
            await asyncio.to_thread(stop, again)


async def test_a_server_that_restarted_unseen(server: Own) -> None:
    """Every connection died while nobody asked: the next calls work all the same."""
    async with sql.connect(server.url, {}) as cache:
        await filled(cache)
        await asyncio.to_thread(stop, server.running)
        port, folder = server.running.ports["sql"], Path(server.running.folder)
        again = await asyncio.to_thread(server.resume, folder, port)
        try:
            await asyncio.sleep(1.1)
            found = await asyncio.gather(*(cache.project(ALPHA) for _ in range(8)))
            assert None not in found
            assert await cache.save(make_file("2.0"), CHANGE) == 2
        finally:
            await asyncio.to_thread(stop, again)


async def test_a_server_that_freezes(server: Own) -> None:
    """A server that says nothing is given up after the time-out, and used again later."""
    async with sql.connect(server.url, {"timeout": 1}) as cache:
        await filled(cache)
        processes = family(server.running.pid)
        tell(processes, signal.SIGSTOP)
        try:
            took = await asyncio.gather(
                seconds(cache.project(ALPHA)),
                seconds(cache.serial()),
                seconds(cache.save(make_file("2.0"), CHANGE)),
            )
        finally:
            tell(processes, signal.SIGCONT)
        assert max(took) < 1 + QUICK
        assert await answered(lambda: cache.project(ALPHA)) < QUICK
        assert await answered(lambda: cache.save(make_file("3.0"), CHANGE)) < QUICK


async def test_connections_killed_by_the_server(shared_url: str) -> None:
    """Whatever was under way, reads and writes are tried again on new connections."""
    async with sql.connect(shared_url, {}) as cache:
        await filled(cache)
        await kill_connections(shared_url)
        assert await cache.project(ALPHA) is not None
        assert await cache.save(make_file("2.0"), CHANGE) == 2
        await kill_connections(shared_url)
        assert await cache.save(make_file("3.0"), CHANGE) == 3
        assert await cache.serial() == 3


async def test_a_deadlock_is_tried_again(shared_url: str) -> None:
    """A write that loses a deadlock with somebody else's transaction succeeds afterwards."""
    engine = create_async_engine(shared_url)
    async with sql.connect(shared_url, {}) as cache, engine.connect() as other:
        await filled(cache)
        for n in range(100):  # MariaDB lets the transaction win that did more
            row = f"({-n - 1}, 'other', NULL, '')"
            await other.execute(text(f"INSERT INTO {schema.history.name} VALUES {row}"))
        await other.execute(text(f"UPDATE {schema.projects.name} SET sequence = 1"))
        saving = asyncio.create_task(cache.save(make_file("2.0"), CHANGE))
        await asyncio.sleep(0.3)
        await other.execute(text(f"UPDATE {schema.meta.name} SET value = value"))
        await other.rollback()
        assert await saving == 2
    await engine.dispose()


async def test_a_lock_that_is_not_given_up(shared_url: str) -> None:
    """Where somebody holds the serial, a write ends after the time-out and nothing is written."""
    engine = create_async_engine(shared_url)
    async with sql.connect(shared_url, {"timeout": 1}) as cache, engine.connect() as other:
        await filled(cache)
        await other.execute(text(f"SELECT value FROM {schema.meta.name} FOR UPDATE"))
        assert await seconds(cache.save(make_file("2.0"), CHANGE)) < 1 + QUICK
        assert await cache.serial() == 1
        await other.rollback()
        assert await cache.save(make_file("2.0"), CHANGE) == 2
    await engine.dispose()


async def test_a_wrong_password_is_not_repeated(shared_url: str) -> None:
    """It stops the start with a line that says so, and stands nowhere in the error."""
    made = {
        "postgresql": "CREATE ROLE ada LOGIN PASSWORD 'right'",
        "mysql": "CREATE USER IF NOT EXISTS ada@127.0.0.1 IDENTIFIED BY 'right'",
    }
    url = make_url(shared_url)
    with suppress(ProgrammingError):  # another worker's test made the role already
        await execute(shared_url, made[url.get_backend_name()])
    with pytest.raises(errors.Misconfigured) as caught:
        async with sql.connect(
            url.set(username="ada", password="hunter2").render_as_string(hide_password=False), {}
        ):
            pass
    assert "password is wrong" in str(caught.value)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
async def test_a_database_that_is_not_there(kind: str) -> None:
    """A database nobody made is a mistake in the settings; a server nobody runs is waited for."""
    running = await asyncio.to_thread(
        getattr({"postgresql": postgresql, "mariadb": mariadb}[kind], kind)
    )
    url = {"postgresql": postgresql.server_url, "mariadb": mariadb.server_url}[kind](
        running, "nowhere"
    )
    with pytest.raises(errors.Misconfigured, match="no such database"):
        async with sql.connect(url, {}):
            pass
    gone = make_url(url).set(port=1).render_as_string(hide_password=False)
    with pytest.raises(errors.CacheUnavailable, match="does not answer"):
        async with sql.connect(gone, {}):
            pass
    with pytest.raises(errors.Misconfigured, match="parameters"):
        async with sql.connect(f"{url}?colour=green", {}):
            pass


async def test_a_primary_that_became_a_standby() -> None:
    """A server that takes no writes any more is not written to for ever: connections are new."""
    async with postgresql.database() as url, sql.connect(url, {}) as cache:
        await filled(cache)
        name = make_url(url).database
        await execute(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await kill_connections(url)
        assert await cache.project(ALPHA) is not None
        assert await seconds(cache.save(make_file("2.0"), CHANGE)) < QUICK
        await execute(
            url,
            "SET default_transaction_read_only = off",
            f"ALTER DATABASE {name} RESET default_transaction_read_only",
        )
        assert await cache.save(make_file("2.0"), CHANGE) == 2


async def test_text_is_kept_whatever_the_server_prefers() -> None:
    """MariaDB's tables hold every character although the server's own are Latin-1."""
    async with mariadb.database() as url, sql.connect(url, {}):
        found = await execute(
            url,
            "SELECT DISTINCT collation_name FROM information_schema.columns"
            " WHERE table_schema = DATABASE() AND collation_name IS NOT NULL",
        )
        assert found == [("utf8mb4_bin",)]


async def kill_connections(url: str) -> None:
    """End every other connection to this database."""
    if url.startswith("postgresql"):
        await execute(
            url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        return
    found = await execute(
        url,
        "SELECT id FROM information_schema.processlist"
        " WHERE db = DATABASE() AND id <> CONNECTION_ID()",
    )
    await execute(url, *(f"KILL {number}" for (number,) in found))


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
async def test_tls_that_was_asked_for_is_not_done_without(kind: str) -> None:
    """A server without TLS is not talked to where the URL wants it; a missing file is named."""
    asked, authority = {
        "postgresql": ("sslmode=require", "sslrootcert"),
        "mariadb": ("ssl=true", "ssl_ca"),
    }[kind]
    database = {"postgresql": postgresql.database, "mariadb": mariadb.database}[kind]
    async with database() as url:
        with pytest.raises(errors.CacheUnavailable, match="does not answer"):
            async with sql.connect(f"{url}?{asked}", {}):
                pass
        with pytest.raises(errors.Misconfigured, match=authority):
            async with sql.connect(f"{url}?{authority}=/nowhere/ca.pem", {}):
                pass


async def test_tls_is_spoken_and_verified(secured: str, tmp_path: Path) -> None:
    """A server whose certificate somebody else signed is not talked to."""
    async with sql.connect(secured, {}) as cache:
        await filled(cache)
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    ours = secured.rpartition("=")[2]
    with pytest.raises(errors.CacheUnavailable, match="does not answer"):
        async with sql.connect(secured.replace(ours, str(other)), {}):
            pass
    await asyncio.sleep(0.2)  # drivers close what they refused in their own time

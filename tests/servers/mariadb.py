"""MariaDB: one server a run; each caller gets a database of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import asyncmy
from asyncmy.errors import MySQLError
from ulid import ULID

from tests.servers.running import Running, launch, shared

ADMIN = "root"
PACKAGE = "mariadb-server"
"""The Debian package that has the server."""


def binary(name: str) -> str:
    """A program of MariaDB."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found is None:
        raise AssertionError(f"Tests need {name} (Debian: apt-get install {PACKAGE}).")
    return found


def start_mariadb(folder: Path) -> Running:
    """A server in ``folder`` whose root has no password; nothing of it survives a power cut.

    It speaks TLS where the folder holds ``cert.pem`` and ``key.pem``.
    """
    made = subprocess.run(
        [
            *(binary("mariadb-install-db"), "--no-defaults", f"--user={_user()}"),
            # A starting server removes what it takes for remains from its folder for such.
            *(f"--datadir={folder / 'tables'}", "--skip-test-db", f"--tmpdir={folder}"),
            "--auth-root-authentication-method=normal",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        raise AssertionError(f"mariadb-install-db: {made.stdout}{made.stderr}")
    return resume_mariadb(folder)


def resume_mariadb(folder: Path, port: int | None = None) -> Running:
    """Start the server on what it kept in ``folder``, on the port it had, if that is given."""

    def command(ports: Mapping[str, int]) -> list[str | Path]:
        secured = [f"--ssl-cert={folder / 'cert.pem'}", f"--ssl-key={folder / 'key.pem'}"]
        return [
            *(binary("mariadbd"), "--no-defaults", f"--user={_user()}"),
            *(f"--datadir={folder / 'tables'}", "--bind-address=127.0.0.1"),
            *(f"--port={port or ports['sql']}", f"--socket={folder / 's'}"),
            *(f"--tmpdir={folder}", f"--pid-file={folder / 'pid'}"),
            *("--skip-name-resolve", "--skip-log-bin"),
            *("--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync"),
            *("--innodb-buffer-pool-size=128M", "--performance-schema=OFF"),
            *("--max-connections=200", "--character-set-server=latin1"),
            *(secured if (folder / "cert.pem").exists() else ()),
        ]

    def ready(ports: Mapping[str, int]) -> None:
        asyncio.run(_ask(port or ports["sql"]))

    running = launch(folder, ["sql"], command, ready)
    return running if port is None else Running(running.pid, {"sql": port}, running.folder)


def server_url(running: Running, database: str, *, user: str = ADMIN) -> str:
    """How a client of ours reaches a database of the server."""
    return f"mysql+asyncmy://{user}@127.0.0.1:{running.ports['sql']}/{database}"


def mariadb() -> Running:
    """The run's server. What it keeps is Latin-1 unless a table says otherwise."""
    return shared("mariadb", start_mariadb)


@asynccontextmanager
async def database() -> AsyncIterator[str]:
    """The URL of an empty database of the run's server, gone afterwards."""
    running = await asyncio.to_thread(mariadb)
    name = f"t{ULID()}".lower()
    await execute(running, f"CREATE DATABASE {name}")
    try:
        yield server_url(running, name)
    finally:
        await execute(running, f"DROP DATABASE {name}")


async def execute(running: Running, *statements: str, database: str | None = None) -> None:
    """Statements, as the administrator."""
    port = running.ports["sql"]
    connection = await asyncmy.connect(
        host="127.0.0.1", port=port, user=ADMIN, db=database, autocommit=True
    )
    try:
        async with connection.cursor() as cursor:
            for statement in statements:
                await cursor.execute(statement)
    finally:
        connection.close()


def _user() -> str:
    """Who the server is to be: it may be root, but not become somebody who cannot read."""
    return "root" if os.geteuid() == 0 else str(os.geteuid())


async def _ask(port: int) -> None:
    try:
        connection = await asyncmy.connect(
            host="127.0.0.1", port=port, user=ADMIN, connect_timeout=2
        )
    except MySQLError as error:
        raise ConnectionError(str(error)) from error
    connection.close()

"""PostgreSQL: one server a run; each caller gets a database of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from ulid import ULID

from tests.servers.running import Running, launch, shared

ADMIN = "postgres"
CAREFUL = "ada"
"""Whoever comes by this name needs a password, once somebody made such a user."""
PACKAGE = "postgresql"
"""The Debian package that has the server."""
_PLACES = "/usr/lib/postgresql/*/bin"


def binary(name: str) -> str:
    """A program of PostgreSQL: on PATH, else the newest that Debian installed."""
    installed = sorted(Path("/").glob(f"{_PLACES[1:]}/{name}"), key=lambda path: int(path.parts[4]))
    found = str(installed[-1]) if installed else shutil.which(name)
    if found is None:
        raise AssertionError(f"Tests need {name} (Debian: apt-get install {PACKAGE}).")
    return found


def start_postgresql(folder: Path) -> Running:
    """A server in ``folder`` that trusts whoever comes, but for CAREFUL.

    Nothing of it survives a power cut. It speaks TLS where the folder holds ``cert.pem`` and
    ``key.pem``.
    """
    cluster = folder / "cluster"
    command = [binary("initdb"), "-D", str(cluster), "-A", "trust", "-U", ADMIN]
    give(folder, "postgres")
    made = subprocess.run(
        as_user("postgres", [*command, "--no-sync", "-E", "UTF8", "--locale=C"]),
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        raise AssertionError(f"initdb: {made.stderr}")
    rules = cluster / "pg_hba.conf"
    rules.write_text(f"host all {CAREFUL} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
    return resume_postgresql(folder)


def resume_postgresql(folder: Path, port: int | None = None, *, durable: bool = False) -> Running:
    """Start the server on what it kept in ``folder``, on the port it had, if that is given.

    A ``durable`` one has on the disk what it said to be committed.
    """

    def command(ports: Mapping[str, int]) -> list[str | Path]:
        chosen = port or ports["sql"]
        options = [] if durable else ["fsync=off", "full_page_writes=off"]
        sized = ["max_connections=200", "shared_buffers=64MB"]
        place = ["-D", str(folder / "cluster"), "-h", "127.0.0.1", "-k", ""]
        secured = ["ssl=on", "ssl_cert_file=../cert.pem", "ssl_key_file=../key.pem"]
        if not (folder / "cert.pem").exists():
            secured = []
        settings = (word for option in (*options, *sized, *secured) for word in ("-c", option))
        return as_user("postgres", [binary("postgres"), *place, "-p", str(chosen), *settings])

    def ready(ports: Mapping[str, int]) -> None:
        asyncio.run(_ask(port or ports["sql"]))

    running = launch(folder, ["sql"], command, ready)
    return running if port is None else Running(running.pid, {"sql": port}, running.folder)


def server_url(running: Running, database: str = ADMIN, *, user: str = ADMIN) -> str:
    """How a client of ours reaches a database of the server."""
    return f"postgresql+asyncpg://{user}@127.0.0.1:{running.ports['sql']}/{database}"


def postgresql() -> Running:
    """The run's server."""
    return shared("postgresql", start_postgresql)


@asynccontextmanager
async def database() -> AsyncIterator[str]:
    """The URL of an empty database of the run's server, gone afterwards."""
    running = await asyncio.to_thread(postgresql)
    name = f"t{ULID()}".lower()
    await execute(running, f"CREATE DATABASE {name} STRATEGY file_copy")
    try:
        yield server_url(running, name)
    finally:
        await execute(running, f"DROP DATABASE {name} WITH (FORCE)")


async def execute(running: Running, *statements: str, database: str = ADMIN) -> None:
    """Statements, as the administrator."""
    port = running.ports["sql"]
    connection = await asyncpg.connect(host="127.0.0.1", port=port, user=ADMIN, database=database)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def give(folder: Path, user: str) -> None:
    """Let ``user`` keep things in the folder, where this process is root and it is another."""
    if os.geteuid() == 0:
        shutil.chown(folder, user, user)
        for below in folder.iterdir():
            shutil.chown(below, user, user)
        for above in folder.parents:
            if str(above) in ("/", "/tmp"):
                break
            above.chmod(above.stat().st_mode | 0o011)


def as_user(user: str, command: list[str | Path]) -> list[str | Path]:
    """The command, as ``user`` where this process is root: such servers refuse to be root."""
    if os.geteuid() != 0:
        return command
    return ["/usr/bin/setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *command]


async def _ask(port: int) -> None:
    try:
        connection = await asyncpg.connect(host="127.0.0.1", port=port, user=ADMIN, timeout=2)
    except asyncpg.PostgresError as error:
        raise ConnectionError(str(error)) from error
    await connection.close()

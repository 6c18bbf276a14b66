"""A standby of PostgreSQL that takes the place of its primary, and may lack its last commits."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg

from tests.replicas.caches import children, stop_all
from tests.servers import postgresql
from tests.servers.running import Running

PATIENCE = 60.0


class Standby:
    """It follows the primary asynchronously."""

    def __init__(self, folder: Path, primary: int) -> None:
        folder.mkdir()
        postgresql.give(folder, "postgres")
        command = [postgresql.binary("pg_basebackup"), "-h", "127.0.0.1", "-p", str(primary)]
        command += ["-U", postgresql.ADMIN, "-D", str(folder / "cluster"), "-R", "-c", "fast"]
        done = subprocess.run(
            postgresql.as_user("postgres", list(command)),
            cwd=folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        self._folder = folder
        self._running = postgresql.resume_postgresql(folder)

    def freeze(self) -> None:
        """From now on it follows no more."""
        self._signal(signal.SIGSTOP)

    def take_over(self, port: int) -> Running:
        """Be the primary, where clients look for it."""
        self._signal(signal.SIGCONT)
        asyncio.run(_promote(self._running.ports["sql"]))
        self.close()
        self._running = postgresql.resume_postgresql(self._folder, port)
        return self._running

    def close(self) -> None:
        """End it."""
        stop_all(self._running.pid)

    def _signal(self, number: signal.Signals) -> None:
        for pid in (self._running.pid, *children(self._running.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


@contextmanager
def following(folder: Path, primary: int) -> Iterator[Standby]:
    """A standby of the server at this port."""
    standby = Standby(folder, primary)
    try:
        yield standby
    finally:
        standby.close()


async def _promote(port: int) -> None:
    connection = await asyncpg.connect(host="127.0.0.1", port=port, user=postgresql.ADMIN)
    try:
        assert await connection.fetchval("SELECT pg_promote()")
        deadline = time.monotonic() + PATIENCE
        while await connection.fetchval("SELECT pg_is_in_recovery()"):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        await connection.execute("CHECKPOINT")  # what it is now stands on the disk
    finally:
        await connection.close()

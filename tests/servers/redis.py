"""Redis: one server and one cluster of three a run; each caller gets a prefix of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError
from ulid import ULID

from tests.servers.running import Running, launch, shared, stop

PACKAGE = "redis-server"
"""The Debian package that has the server."""
SLOTS = 16384
NODES = 3


def binary() -> str:
    """The program of Redis."""
    found = shutil.which("redis-server", path=os.environ.get("PATH", os.defpath))
    if found is None:
        raise AssertionError(f"Tests need redis-server (Debian: apt-get install {PACKAGE}).")
    return found


def start_redis(folder: Path, *options: str, port: int | None = None) -> Running:
    """A server that keeps nothing by itself, on ``port`` where that is given."""
    return launch(
        folder,
        ["redis"],
        lambda ports: [*_command(folder, port or ports["redis"]), *options],
        lambda ports: _ping(port or ports["redis"]),
    )


def start_cluster(folder: Path) -> Running:
    """Three servers that share the slots among them; no replicas."""
    uses = [f"{kind}{number}" for number in range(NODES) for kind in ("redis", "bus")]

    def command(ports: Mapping[str, int]) -> list[str | Path]:
        script = ""
        for number in range(NODES):
            home = folder / str(ports[f"redis{number}"])
            home.mkdir()
            words = _command(home, ports[f"redis{number}"])
            words += ["--cluster-enabled", "yes", "--cluster-port", str(ports[f"bus{number}"])]
            script += " ".join(f"'{word}'" for word in words) + " & "
        return ["/bin/sh", "-c", f"{script}wait"]

    return launch(folder, uses, command, _join)


def start_sentinel(folder: Path, master: int, service: str, *options: str) -> Running:
    """A Sentinel that alone decides, soon, that the server on port ``master`` is down."""
    words = [
        *(f"sentinel monitor {service} 127.0.0.1 {master} 1", *options),
        f"sentinel down-after-milliseconds {service} 500",
        f"sentinel failover-timeout {service} 2000",
    ]
    written = folder / "sentinel.conf"
    written.write_text("\n".join([*words, ""]))
    return launch(
        folder,
        ["redis"],
        lambda ports: [
            *(binary(), written, "--sentinel", "--bind", "127.0.0.1"),
            *("--port", str(ports["redis"]), "--dir", folder),
        ],
        lambda ports: _ping(ports["redis"]),
    )


@asynccontextmanager
async def database() -> AsyncIterator[str]:
    """The URL of an empty cache on the one server."""
    port = shared("redis", start_redis).ports["redis"]
    yield f"redis://127.0.0.1:{port}/0?prefix={ULID()}"


@asynccontextmanager
async def cluster() -> AsyncIterator[str]:
    """The URL of an empty cache in the cluster."""
    ports = shared("redis cluster", start_cluster).ports
    nodes = ",".join(f"127.0.0.1:{ports[f'redis{number}']}" for number in range(NODES))
    yield f"redis+cluster://{nodes}?prefix={ULID()}"


@dataclass
class OwnRedis:
    """A server of one test's own, which comes back on the port that it had."""

    folder: Path
    running: Running
    port: int
    options: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Its URL; whoever is silent is given up soon."""
        return f"redis://127.0.0.1:{self.port}/0?timeout=0.5"

    def ask(self, *words: str | int) -> Any:
        """Somebody else's command."""
        return ask(self.port, *words)

    def signal(self, number: int) -> None:
        """Freeze it, or let it go on."""
        os.killpg(self.running.pid, number)

    def stop(self) -> None:
        """SIGKILL."""
        stop(self.running)

    def resume(self) -> None:
        """Start it again on what it kept."""
        self.running = start_redis(self.folder, *self.options, port=self.port)


@contextmanager
def own_redis(folder: Path) -> Iterator[OwnRedis]:
    """A server of one test's own."""
    running = start_redis(folder)
    found = OwnRedis(folder, running, running.ports["redis"])
    try:
        yield found
    finally:
        stop(found.running)


def ask(port: int, *words: str | int) -> Any:
    """A command on a connection of its own."""
    client: Any = Redis(host="127.0.0.1", port=port, decode_responses=True)
    with client:
        return client.execute_command(*words)


def _command(folder: Path, port: int) -> list[str | Path]:
    return [
        *(binary(), "--bind", "127.0.0.1", "--port", str(port), "--dir", folder),
        *("--save", "", "--appendonly", "no", "--daemonize", "no"),
    ]


def _client(port: int) -> Any:
    return Redis(host="127.0.0.1", port=port, socket_timeout=5, decode_responses=True)


def _ping(port: int) -> None:
    with _client(port) as client:
        try:
            client.ping()
        except RedisError as error:
            raise ConnectionError(str(error)) from error


def _join(ports: Mapping[str, int]) -> bool:
    """Give each its slots and let them meet; whether all agree by now."""
    agreed = True
    for number in range(NODES):
        with _client(ports[f"redis{number}"]) as client:
            try:
                told = client.execute_command("CLUSTER INFO")
                if told["cluster_known_nodes"] == "1":
                    _give(client, number)
                    words = ("127.0.0.1", ports["redis0"], ports["bus0"])
                    client.execute_command("CLUSTER MEET", *words)
            except RedisError as error:
                raise ConnectionError(str(error)) from error
            agreed &= told["cluster_state"] == "ok" and told["cluster_size"] == str(NODES)
    return agreed


def _give(client: Any, number: int) -> None:
    first, last = SLOTS * number // NODES, SLOTS * (number + 1) // NODES - 1
    with suppress(ResponseError):  # they are its own already
        client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)

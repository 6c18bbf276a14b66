"""The processes of docker-compose.yml, without containers: what it says, on loopback.

Commands, variables and files are those of docker-compose.yml and of deploy/compose/; only
addresses, ports and folders are a test's own.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from redis import Redis
from redis.exceptions import RedisError

from tests.canary import require_clean
from tests.deployment.tools import DEPLOY
from tests.e2e.conftest import sandbox, session_tripwire  # noqa: F401  # fixtures
from tests.e2e.sandbox import Sandbox
from tests.factories import form, make_wheel
from tests.processes import PASSWORD, PATIENCE, environment
from tests.servers import fronts, postgresql, redis
from tests.servers.running import INSTALLED, ROOT, Running, free_ports, launch, stop

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(600)]

SERVICES: Mapping[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
DRAIN = 3
"""Seconds; the file's own would make the test longer, not truer."""
POLL = 5
"""Seconds in which every replica shows what one took: many polls, for a busy machine."""


@dataclass(slots=True)
class Replica:
    """One ``pypicloud`` of the file, which may be stopped and begun again."""

    folder: Path
    port: int
    variables: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start it."""
        with (self.folder / f"{self.port}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [Path(sys.executable).with_name("pypicloud"), "serve"],
                cwd=self.folder,
                env={**environment(self.folder, self.port), **self.variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def end(self) -> int:
        """SIGTERM, as ``docker stop`` sends it; its exit status once it is gone."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=PATIENCE)

    @property
    def log(self) -> str:
        """All that it printed."""
        return (self.folder / f"{self.port}.log").read_text()

    def until_ready(self) -> None:
        """Return once it says so."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process is not None
            assert self.process.poll() is None, self.log
            with suppress(httpx.TransportError):
                url = f"http://127.0.0.1:{self.port}/health/ready"
                if httpx.get(url, trust_env=False, verify=False, timeout=30).status_code == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(self.log)


@dataclass(frozen=True, slots=True)
class Site:
    """All of it: the proxy's URL, and the replicas behind it."""

    url: str
    replicas: list[Replica]
    secrets: Path
    passwords: list[str] = field(default_factory=list)


def service(name: str) -> Any:
    """What the file says of a service."""
    return SERVICES[name]


def words(name: str, key: str = "command") -> list[str]:
    """A command of the file."""
    return [str(word) for word in service(name)[key]]


def start_redis(folder: Path, secrets: Path) -> Running:
    """Redis, by the command of the file."""
    program, config, *more = words("redis")
    assert program == "redis-server"
    config = config.replace("/secrets", str(secrets))
    password = (secrets / "redis" / "password").read_text()

    def ping(ports: Mapping[str, int]) -> None:
        client: Any = Redis(host="127.0.0.1", port=ports["redis"], password=password)
        try:
            client.ping()
        except RedisError as error:
            raise ConnectionError from error
        finally:
            client.close()

    return launch(
        folder,
        ["redis"],
        lambda ports: [
            *(redis.binary(), config, *(str(folder) if x == "/data" else x for x in more)),
            *("--bind", "127.0.0.1", "--port", str(ports["redis"])),
        ],
        ping,
    )


def start_store(folder: Path, secrets: Path) -> Running:
    """SeaweedFS, by the command of the file."""
    assert words("store", "entrypoint") == ["weed"]
    kinds = ("master", "volume", "filer", "s3")

    def command(ports: Mapping[str, int]) -> list[str | Path]:
        moved = {
            "-dir=/data": f"-dir={folder}",
            "-ip.bind=0.0.0.0": "-ip.bind=127.0.0.1",
            "-s3.port=8333": f"-s3.port={ports['s3']}",
            "-s3.config=/secrets/store/s3.json": f"-s3.config={secrets}/store/s3.json",
        }
        own = [f"-{kind}.port={ports[kind]}" for kind in kinds[:-1]]
        own += [f"-{kind}.port.grpc={ports[f'{kind} grpc']}" for kind in kinds]
        own += [f"-s3.port.iceberg={ports['iceberg']}"]
        said = words("store")
        assert moved.keys() <= set(said)
        return [INSTALLED / "bin" / "weed", *(moved.get(word, word) for word in said), *own]

    def ready(ports: Mapping[str, int]) -> bool:
        path = service("store")["healthcheck"]["test"][-1].rpartition(":8333")[2]
        try:
            url = f"http://127.0.0.1:{ports['s3']}{path}"
            return httpx.get(url, trust_env=False, verify=False).status_code == 200
        except httpx.TransportError as error:
            raise ConnectionError from error

    uses = [*kinds, *(f"{kind} grpc" for kind in kinds), "iceberg"]
    return launch(folder, uses, command, ready)


def make_user(running: Running, secrets: Path) -> None:
    """The user and the database that PostgreSQL's image makes of its variables."""
    chosen = service("postgres")["environment"]
    file = chosen["POSTGRES_PASSWORD_FILE"].replace("/secrets", str(secrets))
    user, password = chosen["POSTGRES_USER"], Path(file).read_text()
    asyncio.run(
        postgresql.execute(
            running,
            f"CREATE USER {user} PASSWORD '{password}'",
            f"CREATE DATABASE {chosen['POSTGRES_DB']} OWNER {user}",
        )
    )


def start_proxy(folder: Path, ports: list[int]) -> Running:
    """HAProxy, by the file that compose gives it; Docker's names are addresses here."""
    text = (DEPLOY / "compose" / "haproxy.cfg").read_text()
    template = "    server-template pypicloud 2 pypicloud:8000 resolvers docker init-addr none\n"
    assert template in text
    servers = "".join(f"    server r{port} 127.0.0.1:{port}\n" for port in ports)

    def command(listening: Mapping[str, int]) -> list[str | Path]:
        moved = text.replace(template, servers)
        moved = moved.replace("bind :8000", f"bind 127.0.0.1:{listening['http']}")
        (folder / "haproxy.cfg").write_text(moved)
        return [fronts.binary("haproxy"), "-f", folder / "haproxy.cfg", "-db"]

    def ready(listening: Mapping[str, int]) -> bool:
        try:
            url = f"http://127.0.0.1:{listening['http']}/health/ready"
            return httpx.get(url, trust_env=False, verify=False).status_code == 200
        except httpx.TransportError as error:
            raise ConnectionError from error

    return launch(folder, ["http"], command, ready)


def folders(tmp_path: Path, *names: str) -> list[Path]:
    """Folders that are there."""
    found = [tmp_path / name for name in names]
    for folder in found:
        folder.mkdir()
    return found


@contextmanager
def up(tmp_path: Path) -> Iterator[Site]:
    """``docker compose up``, in the order that the file's conditions give."""
    base, secrets, store, cache, users, front, home = folders(
        tmp_path, "base", "secrets", "store", "redis", "postgres", "proxy", "home"
    )
    _run(DEPLOY / "compose" / "passwords.py", secrets)
    with ExitStack() as stack:
        running = {
            "redis:6379": start_redis(cache, secrets),
            "store:8333": start_store(store, secrets),
            "postgres:5432": postgresql.start_postgresql(users),
        }
        for one in running.values():
            stack.callback(stop, one)
        make_user(running["postgres:5432"], secrets)
        settings = secrets / "pypicloud" / "pypicloud.toml"
        text = settings.read_text()
        for address, one in running.items():
            port = one.ports[{"redis": "redis", "store": "s3", "postgres": "sql"}[address[:-5]]]
            assert address in text
            text = text.replace(address, f"127.0.0.1:{port}")
        settings.write_text(text)
        _run(DEPLOY / "compose" / "bucket.py", settings)
        count = service("pypicloud")["deploy"]["replicas"]
        ports = free_ports(count)
        replicas = [Replica(home, port, variables(settings, base)) for port in ports]
        for replica in replicas:
            replica.begin()
            stack.callback(replica.end)
            replica.until_ready()
        proxy = start_proxy(front, ports)
        stack.callback(stop, proxy)
        kept = [(secrets / name / "password").read_text() for name in ("redis", "postgres")]
        yield Site(f"http://127.0.0.1:{proxy.ports['http']}", replicas, secrets, kept)
    for replica in replicas:
        assert "Traceback" not in replica.log, replica.log
        require_clean(replica.log, PASSWORD, *kept)


def variables(settings: Path, base: Path) -> dict[str, str]:
    """Those of the file, with the values that it has where nothing is chosen."""
    chosen = {}
    for name, value in service("pypicloud")["environment"].items():
        text = str(value)
        if text.startswith("${"):
            text = text.removeprefix("${").removesuffix("}").partition(":-")[2]
        chosen[name] = text
    return {
        **chosen,
        "PYPICLOUD_CONFIG": str(settings),
        "PYPICLOUD_ADMIN_PASSWORD": PASSWORD,
        "PYPICLOUD_TRUSTED_PROXIES": "127.0.0.1/32",
        "PYPICLOUD_SPOOL": str(base / "spool"),
        "PYPICLOUD_DRAIN": f"{DRAIN} s",
    }


def _run(script: Path, argument: Path) -> None:
    subprocess.run([sys.executable, str(script), str(argument)], timeout=PATIENCE, check=True)


class Load:
    """Clients that read and upload without a pause; ``failures`` is what they would show."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self.failures: list[str] = []
        self.answered = 0
        self.uploaded: list[str] = []
        self._threads = [threading.Thread(target=self._read) for _ in range(2)]
        self._threads.append(threading.Thread(target=self._upload))

    @contextmanager
    def going(self) -> Iterator[None]:
        """They go on while the block runs."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join(timeout=PATIENCE)

    def _client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self._url, trust_env=False, timeout=60, auth=("admin", PASSWORD)
        )

    def _read(self) -> None:
        with self._client() as client:
            while not self._over.wait(0.05):
                for path in ("/simple/", "/simple/steady/"):
                    self._note(lambda path=path: client.get(path))

    def _upload(self) -> None:
        with self._client() as client:
            number = 0
            while not self._over.wait(0.3):
                number += 1
                made = make_wheel("steady", f"2.{number}")
                if self._note(
                    lambda made=made, number=number: client.post(
                        "/legacy/",
                        data=form(made, "steady", f"2.{number}"),
                        files={"content": (made.filename, made.content)},
                    )
                ):
                    self.uploaded.append(made.filename)

    def _note(self, ask: Any) -> bool:
        try:
            answer = ask()
        except httpx.HTTPError as error:
            self.failures.append(repr(error))
            return False
        if answer.status_code != 200:
            self.failures.append(f"{answer.request.url} {answer.status_code} {answer.text[:200]}")
            return False
        self.answered += 1
        return True


def test_compose_without_containers(tmp_path: Path, sandbox: Sandbox) -> None:  # noqa: F811
    """Twine, pip and uv work through the proxy; a rolling restart costs no request.

    All secrets are files that their service alone may read, made once.
    """
    with up(tmp_path) as site:
        for file in site.secrets.rglob("*"):
            assert file.stat().st_mode & 0o077 == 0 or file.name == "made", file
        before = {path: path.read_bytes() for path in site.secrets.rglob("*") if path.is_file()}
        _run(DEPLOY / "compose" / "passwords.py", site.secrets)
        assert {path: path.read_bytes() for path in before} == before
        made = make_wheel("steady", "1.0")
        file = tmp_path / made.filename
        file.write_bytes(made.content)
        sandbox.must(
            "twine",
            *("upload", "--disable-progress-bar", "--repository-url", f"{site.url}/legacy/"),
            *("--username", "admin", "--password", PASSWORD, file),
        )
        simple = f"{site.url}/simple/".replace("://", f"://admin:{PASSWORD.replace(' ', '%20')}@")
        simple = simple.replace("'", "%27")
        for client, arguments in {
            "pip": ("--python", "{}", "install", "--no-deps", "--index-url", simple),
            "uv": ("pip", "install", "--python", "{}", "--default-index", simple),
        }.items():
            venv = sandbox.venv(tmp_path / f"venv-{client}")
            filled = [venv.python if word == "{}" else word for word in arguments]
            sandbox.must(client, *filled, "steady")
            assert venv.installed()["steady"] == "1.0"
        load = Load(site.url)
        with load.going():
            time.sleep(1)
            for replica in site.replicas:
                assert replica.end() in (0, -15)
                replica.begin()
                replica.until_ready()
                time.sleep(2)  # until the proxy sees it
        assert not load.failures, load.failures[:5]
        assert load.answered > 50
        assert load.uploaded
        # The replica that answers may have seen less than the one that took the last upload.
        deadline = time.monotonic() + POLL
        while missing := {made.filename, *load.uploaded} - listed(site.url):
            assert time.monotonic() < deadline, missing
            time.sleep(0.05)


def listed(url: str) -> set[str]:
    """The files of the page that clients read."""
    headers = {"Accept": "application/vnd.pypi.simple.v1+json"}
    page = httpx.get(
        f"{url}/simple/steady/", auth=("admin", PASSWORD), headers=headers, trust_env=False
    )
    return {one["filename"] for one in page.json()["files"]}

"""``pypicloud serve`` as a process that is started, stopped and killed as often as asked."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from tests.canary import require_clean
from tests.factories import Made, form
from tests.invariants.calls import Watch
from tests.invariants.forking import Fork, parent_of

ROOT = Path(__file__).parents[2]
AUTH = ("admin", "correct horse battery")
START = 240.0
"""Seconds that a server may take to be ready on a machine that has much to do."""
JSON = "application/vnd.pypi.simple.v1+json"
ENTRY = "from app.cli.main import main; main()"


# One client for all: making one costs as much as ten requests. No connection is kept, for
# servers come and go.
_client = httpx.Client(
    trust_env=False, verify=False, timeout=60, limits=httpx.Limits(max_keepalive_connections=0)
)


class Server:
    """One replica. ``tree`` is where ``app`` is imported from; settings are without prefix.

    Storage and databases are below ``folder/state``; replicas of one index share it.
    """

    def __init__(self, folder: Path, *, tree: Path = ROOT, **settings: str) -> None:
        self.state = folder / "state"
        self.state.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = folder / f"server-{self.port}.log"
        self._tree = tree
        self._settings = settings
        self._process: Fork | None = None
        self.watch: Watch | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The settings, as environment variables."""
        settings = {
            "STORAGE": f"file:{self.state / 'packages'}",
            "CACHE": f"sqlite+aiosqlite:///{self.state / 'cache.db'}",
            "ACCESS": f"sqlite+aiosqlite:///{self.state / 'access.db'}",
            "SPOOL": str(self.state / "spool"),
            "PORT": str(self.port),
            "DEFAULT_READ": "everyone",
            "INSPECTORS": "1",
            "DOCS": "false",
            "RECONCILE_INTERVAL": "500ms",
            **self._settings,
        }
        if not (self.state / "access.db").exists():
            settings["ADMIN_PASSWORD"] = AUTH[1]
        return {
            "PATH": os.defpath,
            "HOME": str(self.state),
            "PYTHONPATH": f"{self._tree}:{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
            **{f"PYPICLOUD_{name}": value for name, value in settings.items()},
        }

    @property
    def pid(self) -> int:
        """The process; of several workers, their parent."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """All that it printed so far, over all its starts."""
        return self.log_file.read_text()

    def start(self, *, watched: bool = False) -> None:
        """Start it, and return when it is ready; ``watch`` knows what a watched one does."""
        if watched:
            self.begin_watched("serve").start()
        else:
            self.begin()
        self.wait_ready()

    def begin_watched(self, *command: str) -> Watch:
        """Start this command; the watch that it waits for is to be started."""
        self._process = fork = self._fork(command, watched=True)
        assert fork.listener is not None
        self.watch = Watch(fork.listener, fork.kill, self.state)
        return self.watch

    def begin(self) -> None:
        """Start it, and do not wait for it to be ready."""
        self.watch = None
        self._process = self._fork(["serve"])

    def _fork(self, command: Sequence[str], *, watched: bool = False) -> Fork:
        parent = parent_of(ROOT, self._tree)
        return parent.fork(command, self.environment, self.log_file, watched=watched)

    def wait_ready(self) -> None:
        """Return when it says that it is ready; fail with its log if it does not."""
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            assert self.running, f"it did not start:\n{self.log[-4000:]}"
            with suppress(httpx.TransportError):
                if get(f"{self.url}/health/ready").status_code == 200:
                    return
            time.sleep(0.02)
        raise AssertionError(f"it was not ready in {START} s:\n{self.log[-4000:]}")

    def close(self) -> None:
        """Have nothing run any more."""
        self.kill()
        if self.log_file.exists():
            require_clean(self.log_file.read_bytes(), AUTH[1])

    def lose_cache(self) -> None:
        """Delete the cache's database, of a server that does not run."""
        assert not self.running
        for path in self.state.glob("cache.db*"):
            path.unlink()

    def kill(self) -> None:
        """``kill -9``, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    def stop(self) -> int:
        """SIGTERM, and wait; what it ended with."""
        assert self._process is not None
        self._process.terminate()
        return self.wait()

    def wait(self) -> int:
        """Wait until it is gone; what it ended with."""
        assert self._process is not None
        code = self._process.wait(timeout=60)
        if self.watch is not None:
            self.watch.close()
        return code

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another ``pypicloud`` command on the same settings."""
        with tempfile.TemporaryDirectory() as folder:
            printed, errors = Path(folder, "printed"), Path(folder, "errors")
            fork = parent_of(ROOT, self._tree).fork(arguments, self.environment, printed, errors)
            code = fork.wait(timeout=300)
            return subprocess.CompletedProcess(
                arguments, code, printed.read_text(), errors.read_text()
            )

    def argv(self, *arguments: str) -> list[str]:
        """The command line of another command."""
        return [sys.executable, "-c", ENTRY, *arguments]

    def check(self) -> None:
        """``pypicloud check --deep`` finds nothing."""
        done = self.command("check", "--deep", "--json")
        findings = json.loads(done.stdout)["findings"] if done.stdout else done.stderr
        assert done.returncode == 0, findings

    def stored(self, prefix: str) -> set[str]:
        """The keys in the storage below a prefix."""
        packages = self.state / "packages"
        found = (packages / prefix).rglob("*")
        return {str(path.relative_to(packages)) for path in found if path.is_file()}


def get(url: str, **headers: str) -> httpx.Response:
    """GET, following nothing and trusting no proxy."""
    return _client.get(url, headers=headers)


def upload(server: Server, made: Made, name: str, version: str) -> httpx.Response:
    """Upload as twine does."""
    return _client.post(
        f"{server.url}/legacy/",
        data=form(made, name, version),
        files={"content": (made.filename, made.content)},
        auth=AUTH,
    )


def manage(server: Server, method: str, path: str, body: object = None) -> httpx.Response:
    """A request to ``/api/v1`` by the admin."""
    return _client.request(
        method,
        f"{server.url}/api/v1/{path}",
        json=body,
        auth=AUTH,
    )


def listed(server: Server, project: str) -> dict[str, dict[str, Any]]:
    """What the project's page says of each file; empty where there is no page."""
    response = get(f"{server.url}/simple/{project}/", Accept=JSON)
    if response.status_code == 404:
        return {}
    assert response.status_code == 200, (response.status_code, response.text)
    return files_of(response)


def files_of(page: httpx.Response) -> dict[str, dict[str, Any]]:
    """What a page says of each file, with URLs that need no page."""
    return {
        file["filename"]: {**file, "url": str(page.url.join(file["url"]))}
        for file in page.json()["files"]
    }


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port

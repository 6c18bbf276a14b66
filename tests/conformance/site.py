"""``pypicloud serve`` as a process, its state in a folder that tests may look at."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.canary import require_clean
from tests.conformance import markup
from tests.conformance.client import Answer, Client
from tests.factories import Made, make_wheel

ROOT = Path(__file__).parents[2]
ADMIN = ("admin", "correct horse battery")
READER = ("reader", "staple staple staple")
"""A user without any right of its own."""
JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
START = 60.0
_ENTRY = "from app.cli.main import main; main()"


class Site(Client):
    """One running service."""

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(_free_port())
        self.state = folder
        self.log_file = folder / "server.log"
        self._environment = {
            "PATH": os.defpath,
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYPICLOUD_STORAGE": f"file:{folder / 'packages'}",
            "PYPICLOUD_CACHE": f"sqlite+aiosqlite:///{folder / 'cache.db'}",
            "PYPICLOUD_ACCESS": f"sqlite+aiosqlite:///{folder / 'access.db'}",
            "PYPICLOUD_SPOOL": str(folder / "spool"),
            "PYPICLOUD_PORT": str(self.port),
            "PYPICLOUD_DEFAULT_READ": "everyone",
            "PYPICLOUD_INSPECTORS": "1",
            **{f"PYPICLOUD_{name}": text for name, text in settings.items()},
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that serves."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it printed."""
        return self.log_file.read_text(errors="replace")

    def command(self, *arguments: str, given: str = "") -> str:
        """Run another ``pypicloud`` command on the same settings; what it printed."""
        done = subprocess.run(
            [sys.executable, "-c", _ENTRY, *arguments],
            cwd=self.state,
            env=self._environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self) -> None:
        """Start, and return when it is ready."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _ENTRY, "serve"],
                cwd=self.state,
                env={**self._environment, "PYPICLOUD_ADMIN_PASSWORD": ADMIN[1]},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.log
            with suppress(OSError):
                if self.get("/health/ready").status == 200:
                    return
            time.sleep(0.02)
        raise AssertionError(f"not ready in {START} s:\n{self.log}")

    def stop(self) -> None:
        """SIGTERM, and wait until it is gone."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=60)

    def publish(self, made: Made, name: str, version: str = "1.0", **options: Any) -> Answer:
        """Upload as the admin; it must be taken."""
        answer = self.upload(made, name, version, auth=ADMIN, **options)
        assert answer.status == 200, (answer.status, answer.body)
        return answer

    def release(self, name: str, version: str = "1.0", **options: Any) -> Made:
        """Publish a new wheel."""
        made = make_wheel(name, version, **options)
        self.publish(made, name, version)
        return made

    def refuse(self, made: Made, name: str, version: str = "1.0", **options: Any) -> str:
        """Upload as the admin; it must be refused with 400. What the refusal says."""
        answer = self.upload(made, name, version, auth=ADMIN, **options)
        assert answer.status == 400, (made.filename, answer.status, answer.body)
        return answer.message

    def manage(self, method: str, path: str, body: bytes = b"") -> Answer:
        """A request to the API by the admin."""
        headers = {"Content-Type": "application/json"}
        answer = self.ask(method, f"/api/v1/{path}", headers, body, auth=ADMIN)
        assert answer.status < 300, (answer.status, answer.body)
        return answer

    def page(self, project: str, accept: str = JSON, **headers: str) -> Answer:
        """The project's page."""
        return self.get(f"/simple/{project}/", {"Accept": accept, **headers})

    def detail(self, project: str) -> Any:
        """The project's JSON."""
        answer = self.page(project)
        assert answer.status == 200, (answer.status, answer.body)
        return answer.json()

    def file(self, project: str, filename: str | None = None) -> Any:
        """What the JSON says of one file; without a name there must be just one."""
        files = self.detail(project)["files"]
        found = [file for file in files if filename in (None, file["filename"])]
        assert len(found) == 1, files
        return found[0]

    def html(self, project: str) -> markup.Page:
        """The project's page as it is for browsers."""
        answer = self.page(project, "text/html")
        assert answer.status == 200, (answer.status, answer.body)
        return markup.read(answer.body)

    def location(self, project: str, filename: str | None = None) -> str:
        """The target of a file, as the page links to it."""
        return self.page(project).resolve(self.file(project, filename)["url"])

    def keys(self) -> dict[str, int]:
        """What the storage holds: key and size. Snapshots, leases and downloads do not count."""
        base = self.state / "packages"
        found = {str(path.relative_to(base)): path for path in base.rglob("*") if path.is_file()}
        return {
            key: path.stat().st_size
            for key, path in found.items()
            if not key.startswith(("snapshots/", "leases/", "downloads/", "."))
        }


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Site]:
    """A site that runs; at its end nothing unexpected may be in its log."""
    site = Site(folder, **settings)
    site.command("user", "add", READER[0], "--password-stdin", given=READER[1])
    site.start()
    try:
        yield site
    finally:
        site.stop()
    failures = re.search(r'.*HTTP/1\.\d" 500(?s:.{0,3000})|Traceback(?s:.{0,3000})', site.log)
    assert failures is None, failures[0]
    require_clean(site.log_file.read_bytes(), ADMIN[1], READER[1])


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port

"""The index under test: ``pypicloud serve`` in a process of its own, on folders of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx

from tests.canary import require_clean
from tests.e2e.projects import Release
from tests.factories import form

PYPICLOUD = Path(sys.executable).with_name("pypicloud")
START_TIMEOUT = 120.0
"""Seconds until the index must be ready, or a command done, on a busy machine too."""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody that the index knows, or is to refuse."""

    username: str
    password: str

    @property
    def userinfo(self) -> str:
        """``user:password`` as it stands in a URL."""
        return f"{quote(self.username, safe='')}:{quote(self.password, safe='')}"


ADMIN = Account("admin", "the admin's pass phrase")
UPLOADER = Account("uploader", "5 geese: 100%/min? &#trombone@dawn")
READER = Account("reader", "only looks at things")
STRANGER = Account("uploader", "not the pass phrase")


@dataclass(frozen=True, slots=True)
class Server:
    """A running index. ``url`` has no slash at its end."""

    url: str
    folder: Path

    @property
    def simple(self) -> str:
        """The URL that installers are given."""
        return f"{self.url}/simple/"

    @property
    def legacy(self) -> str:
        """The URL that uploaders are given."""
        return f"{self.url}/legacy/"

    @property
    def log(self) -> str:
        """All that the index printed so far."""
        return (self.folder / "server.log").read_text()

    def simple_as(self, account: Account) -> str:
        """The URL that installers are given, with credentials in it."""
        return self.simple.replace("://", f"://{account.userinfo}@")

    def write_netrc(self, home: Path, account: Account) -> None:
        """Write ``~/.netrc``, readable by its owner alone, as some clients insist."""
        host = urlsplit(self.url).hostname
        line = f'machine {host} login {account.username} password "{account.password}"\n'
        (home / ".netrc").write_text(line)
        (home / ".netrc").chmod(0o600)

    def publish(self, *releases: Release, sdist: bool = False) -> None:
        """Upload the wheels of releases (or their sdists), without a client in between."""
        for release in releases:
            made = release.sdist() if sdist else release.wheel()
            response = httpx.post(
                self.legacy,
                data=form(made, release.name, release.version),
                files={"content": made},
                auth=(ADMIN.username, ADMIN.password),
                trust_env=False,
            )
            assert response.status_code == 200, (response.status_code, response.text)

    def yank(self, release: Release, reason: str) -> None:
        """Yank a release."""
        self.manage("PATCH", f"{release.name}/releases/{release.version}", yanked=reason)

    def manage(self, method: str, path: str, **body: str) -> None:
        """Ask ``/api/v1/projects/`` for a change, as the admin."""
        response = httpx.request(
            method,
            f"{self.url}/api/v1/projects/{path}",
            json=body or None,
            auth=(ADMIN.username, ADMIN.password),
            trust_env=False,
        )
        assert response.is_success, (response.status_code, response.text)

    def page(self, project: str) -> dict[str, object]:
        """The project's page as JSON, read as the admin."""
        response = httpx.get(
            f"{self.simple}{project}/",
            headers={"Accept": "application/vnd.pypi.simple.v1+json"},
            auth=(ADMIN.username, ADMIN.password),
            trust_env=False,
        )
        assert response.status_code == 200, (response.status_code, response.text)
        page: dict[str, object] = response.json()
        return page

    def upload_time(self, project: str, version: str) -> str:
        """When the first file of a version came, as the page says."""
        files = self.page(project)["files"]
        assert isinstance(files, list)
        return next(
            str(file["upload-time"]) for file in files if f"-{version}" in str(file["filename"])
        )

    def metadata(self, project: str, filename: str) -> bytes:
        """The core metadata that is served beside a file."""
        response = httpx.get(
            f"{self.url}/files/{project}/{filename}.metadata",
            auth=(ADMIN.username, ADMIN.password),
            trust_env=False,
        )
        assert response.status_code == 200, (response.status_code, response.text)
        return response.content

    def hashes(self, project: str) -> dict[str, str]:
        """The sha256 of every file that the project's page lists; empty without a project."""
        response = httpx.get(
            f"{self.simple}{project}/",
            headers={"Accept": "application/vnd.pypi.simple.v1+json"},
            auth=(ADMIN.username, ADMIN.password),
            trust_env=False,
        )
        if response.status_code == 404:
            return {}
        return {file["filename"]: file["hashes"]["sha256"] for file in response.json()["files"]}


@contextmanager
def serve(
    folder: Path,
    *,
    read: str,
    path: str = "",
    host: str = "127.0.0.1",
    variables: Mapping[str, str] | None = None,
    command: Sequence[str | Path] = (PYPICLOUD,),
) -> Iterator[Server]:
    """Run an index whose projects ``read`` (everyone, authenticated) may read by default.

    ``path``, such as ``/packages``, is where it stands below its host, ``host`` what clients
    call it, ``variables`` are more of its environment, ``command`` is what gets ``serve``.
    It knows ADMIN, UPLOADER and READER. A traceback in its log fails whoever ran it.
    """
    port = free_port()
    server = Server(f"http://{host}:{port}{path}", folder)
    public = path or host != "127.0.0.1"
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "PYPICLOUD_STORAGE": f"file:{folder / 'packages'}",
        "PYPICLOUD_CACHE": f"sqlite+aiosqlite:///{folder / 'cache.db'}",
        "PYPICLOUD_ACCESS": f"sqlite+aiosqlite:///{folder / 'access.db'}",
        "PYPICLOUD_SPOOL": str(folder / "spool"),
        "PYPICLOUD_ADMIN_PASSWORD": ADMIN.password,
        "PYPICLOUD_DEFAULT_READ": read,
        "PYPICLOUD_DEFAULT_WRITE": f"user:{UPLOADER.username}",
        "PYPICLOUD_PORT": str(port),
        **({"PYPICLOUD_ROOT_PATH": path, "PYPICLOUD_PUBLIC_URL": server.url} if public else {}),
        **(variables or {}),
    }
    for account in (UPLOADER, READER):
        add_user(account, folder, environment)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "serve"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_ready(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=120)
    assert "Traceback" not in server.log, server.log
    accounts = (ADMIN, UPLOADER, READER, STRANGER)
    require_clean(server.log, *(account.password for account in accounts))


def add_user(account: Account, folder: Path, environment: dict[str, str]) -> None:
    """Add a user by the command line."""
    subprocess.run(
        [PYPICLOUD, "user", "add", account.username, "--password-stdin"],
        cwd=folder,
        env=environment,
        input=f"{account.password}\n",
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT,
        check=True,
    )


def wait_until_ready(server: Server, process: subprocess.Popen[bytes]) -> None:
    """Return when the index answers; fail with its log if it does not."""
    deadline = time.monotonic() + START_TIMEOUT
    # One client: each that httpx makes reads all authorities.
    with httpx.Client(trust_env=False, verify=False) as client:  # loopback
        while time.monotonic() < deadline:
            assert process.poll() is None, f"the index did not start:\n{server.log}"
            try:
                if client.get(f"{server.url}/health/ready").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
    raise AssertionError(f"the index was not ready in {START_TIMEOUT} s:\n{server.log}")


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port

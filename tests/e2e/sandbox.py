"""Where a client runs: a home of its own, nothing of this machine's settings, and no way out.

Every index that a client knows by itself, and every proxy for what is not on loopback,
is the tripwire: it answers 403 and keeps the first line of what it was asked.
"""

from __future__ import annotations

import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / ".venv-clients"
TIMEOUT = 60.0
"""Seconds that one client process may take."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A client process that has ended: its exit status and all that it printed."""

    command: tuple[str, ...]
    status: int
    output: str

    def __str__(self) -> str:
        return f"$ {' '.join(self.command)}\n[exit status {self.status}]\n{self.output}"

    @property
    def flat(self) -> str:
        """The output without the line breaks and frames that some clients put into it."""
        return " ".join(self.output.replace("│", " ").split())


@dataclass(frozen=True, slots=True)
class Tripwire:
    """Where a client ends that leaves the way it was shown; ``touched`` says how it tried."""

    url: str
    touched: list[str] = field(default_factory=list)


@contextmanager
def stretch_tripwire() -> Iterator[Tripwire]:
    """Listen on loopback until the block ends."""
    touched: list[str] = []

    class Catch(socketserver.StreamRequestHandler):
        timeout = 10

        def handle(self) -> None:
            touched.append(self.rfile.readline(4096).decode("latin-1").strip())
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with listening(Catch) as url:
        yield Tripwire(url, touched)


@contextmanager
def listening(handler: type[socketserver.BaseRequestHandler]) -> Iterator[str]:
    """Serve loopback connections by threads; yields ``http://127.0.0.1:PORT``."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Runs clients below ``folder``; their home is ``folder / "home"``."""

    folder: Path
    tripwire: Tripwire

    @property
    def home(self) -> Path:
        """The clients' home; made when first asked for."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return home

    def run(
        self, client: str, *arguments: str | Path, cwd: Path | None = None, **environment: str
    ) -> Finished:
        """Run an installed client (``twine``), or a module of its venv (``pip``).

        Raises:
            AssertionError: the client is not installed.
            subprocess.TimeoutExpired: it took longer than TIMEOUT seconds.
        """
        program = CLIENTS / client / "bin" / client
        assert program.exists(), f"{client} is not installed: run `make clients`"
        return self.execute(program, *arguments, cwd=cwd, **environment)

    def execute(
        self, *command: str | Path, cwd: Path | None = None, **environment: str
    ) -> Finished:
        """Run any command in the sandbox."""
        words = tuple(str(word) for word in command)
        done = subprocess.run(
            words,
            cwd=cwd or self.folder,
            env=self.environment() | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=TIMEOUT,
        )
        return Finished(words, done.returncode, done.stdout)

    def must(
        self, client: str, *arguments: str | Path, cwd: Path | None = None, **environment: str
    ) -> Finished:
        """Run a client that has to succeed; its output is the failure's message."""
        finished = self.run(client, *arguments, cwd=cwd, **environment)
        assert finished.status == 0, str(finished)
        return finished

    def environment(self) -> dict[str, str]:
        """All that a client sees of this machine."""
        home, nowhere = str(self.home), f"{self.tripwire.url}/simple/"
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": home,
            "TMPDIR": home,
            "LANG": "C.UTF-8",
            "COLUMNS": "300",
            "NO_COLOR": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "PYTHONNOUSERSITE": "1",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "XDG_CONFIG_DIRS": home,
            **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), self.tripwire.url),
            **PIP,
            "PIP_INDEX_URL": nowhere,
            **UV,
            "UV_CACHE_DIR": str(self.folder / "uv-cache"),
            **OTHERS,
            "FLIT_INDEX_URL": nowhere,
            "PDM_PYPI_URL": nowhere,
            "HATCH_INDEX_REPO": nowhere,
        }

    def venv(self, folder: Path | None = None) -> Venv:
        """A new environment to install into; ``folder`` defaults to one of the sandbox."""
        folder = folder or self.folder / ".venv"
        self.must("uv", "venv", "--clear", "--quiet", "--python", sys.executable, folder)
        return Venv(folder)


@dataclass(frozen=True, slots=True)
class Venv:
    """An environment that clients install into."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def installed(self) -> dict[str, str]:
        """The versions installed, by normalised name, as the folder itself shows them."""
        folders = self.folder.glob("lib/python3*/site-packages/*.dist-info")
        pairs = (folder.name.removesuffix(".dist-info").split("-") for folder in folders)
        return {name.replace("_", "-"): version for name, version in pairs}


PIP = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_NO_INPUT": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_RETRIES": "0",
    "PIP_KEYRING_PROVIDER": "disabled",
    "PIP_PROGRESS_BAR": "off",
}
UV = {
    "UV_PYTHON_DOWNLOADS": "never",
    "UV_KEYRING_PROVIDER": "disabled",
    "UV_HTTP_RETRIES": "0",
    "UV_LINK_MODE": "copy",
    "UV_NO_PROGRESS": "1",
}
OTHERS = {
    "TWINE_NON_INTERACTIVE": "1",
    "FLIT_NO_NETWORK": "1",
    "POETRY_NO_INTERACTION": "1",
    "POETRY_KEYRING_ENABLED": "false",
    "POETRY_VIRTUALENVS_IN_PROJECT": "true",
    "POETRY_REQUESTS_MAX_RETRIES": "0",
    "PDM_CHECK_UPDATE": "0",
    "PDM_NO_SELF": "1",
    "PDM_IGNORE_STORED_INDEX": "1",
    "DO_NOT_TRACK": "1",
}

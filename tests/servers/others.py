"""Other people's indexes, on loopback, with wheels in them."""

from __future__ import annotations

import http.client
import json
import subprocess
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from tests.factories import Made
from tests.servers.install import SERVERS
from tests.servers.running import Running, launch, stop


@contextmanager
def pypiserver(folder: Path, wheels: Sequence[Made]) -> Iterator[str]:
    """pypiserver; the index URL."""
    packages = folder / "packages"
    packages.mkdir()
    for made in wheels:
        (packages / made.filename).write_bytes(made.content)
    running = launch(
        folder,
        ["http"],
        lambda ports: [
            SERVERS / "bin/pypi-server", "run", "-i", "127.0.0.1", "-p", str(ports["http"]),
            "-P", ".", "-a", ".", "--disable-fallback", packages,
        ],
        lambda ports: _ask(ports["http"], "/simple/"),
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{running.ports['http']}/simple/"
    finally:
        stop(running)


@contextmanager
def devpi(folder: Path, wheels: Sequence[tuple[str, Made]]) -> Iterator[str]:
    """devpi with a stage that inherits nothing; the index URL. The wheels are all of 1.0."""
    state = folder / "state"
    subprocess.run(
        [SERVERS / "bin/devpi-init", "--serverdir", state, "--no-root-pypi"],
        cwd=folder, env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    running = launch(
        folder,
        ["http"],
        lambda ports: [
            SERVERS / "bin/devpi-server", "--serverdir", state, "--host", "127.0.0.1",
            "--port", str(ports["http"]), "--offline-mode",
        ],
        lambda ports: _ask(ports["http"], "/+api"),
    )  # fmt: skip
    try:
        _fill(running, wheels)
        yield f"http://127.0.0.1:{running.ports['http']}/root/ours/+simple/"
    finally:
        stop(running)


def _fill(running: Running, wheels: Sequence[tuple[str, Made]]) -> None:
    port = running.ports["http"]
    told = _ask(port, "/+login", body={"user": "root", "password": ""})
    word = json.loads(told)["result"]["password"]
    who = {"X-Devpi-Auth": b64encode(f"root:{word}".encode()).decode()}
    _ask(port, "/root/ours", body={"type": "stage", "bases": []}, method="PUT", headers=who)
    for name, made in wheels:
        body, kind = _form(name, made)
        headers = who | {"Content-Type": kind}
        _ask(port, "/root/ours/", body=body, headers=headers)


def _form(name: str, made: Made) -> tuple[bytes, str]:
    fields = {":action": "file_upload", "name": name, "version": "1.0", "metadata_version": "2.1"}
    lines = [
        f'--line\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    head = f'--line\r\nContent-Disposition: form-data; name="content"; filename="{made.filename}"'
    lines += [f"{head}\r\n\r\n".encode(), made.content, b"\r\n--line--\r\n"]
    return b"".join(lines), "multipart/form-data; boundary=line"


def _ask(
    port: int,
    path: str,
    *,
    body: object = None,
    method: str | None = None,
    headers: dict[str, str] | None = None,
) -> bytes:
    """An answer's body; an OSError where there is none, or an error."""
    sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    said = {"Accept": "application/json"}
    if sent is not None and not isinstance(body, bytes):
        said["Content-Type"] = "application/json"
    request = Request(
        f"http://127.0.0.1:{port}{path}", data=sent, method=method, headers=said | (headers or {})
    )
    try:
        with urlopen(request, timeout=60) as answer:
            found: bytes = answer.read()
            return found
    except (URLError, http.client.HTTPException) as failed:
        detail = failed.read() if hasattr(failed, "read") else b""
        raise OSError(f"{path}: {failed} {detail[:300]!r}") from failed

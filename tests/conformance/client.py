"""HTTP by hand: bytes out, answers in, and nothing added that a test did not ask for."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import socket
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

from tests.factories import Made

Credentials = tuple[str, str]
Headers = Mapping[str, str] | Iterable[tuple[str, str]]
BOUNDARY = "----4f9c2f6d"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one request to ``target``."""

    target: str
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header that is there once at most."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(found) < 2, (name, found)
        return found[0] if found else None

    def words(self, name: str) -> set[str]:
        """The members of a header that is a list, in lower case."""
        return {word.strip().lower() for word in (self.header(name) or "").split(",")} - {""}

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """What a refusal says; it says the same in ``code``, for uv."""
        assert self.header("content-type") == "application/json", (self.status, self.body[:200])
        shape = self.json()
        assert shape["code"] == f"{self.status} {shape['message']}"
        return str(shape["message"])

    def resolve(self, link: str) -> str:
        """The target that a link on this page leads to."""
        return urljoin(self.target, link).partition("#")[0]


class _Lasting(io.BufferedReader):
    """A reader that stays open when http.client is done with one answer."""

    def makefile(self, mode: str) -> Self:
        return self

    def close(self) -> None:
        """Not yet: other answers may follow on the same connection."""


class Connection:
    """One TCP connection."""

    def __init__(self, port: int, *, timeout: float = 30.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._reader = _Lasting(socket.SocketIO(self._socket, "rb"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it at once."""
        io.BufferedReader.close(self._reader)
        self._socket.close()

    def send(self, content: bytes) -> None:
        """Send these very bytes."""
        self._socket.sendall(content)

    def finish(self) -> None:
        """Say that nothing more will be sent, and go on reading."""
        self._socket.shutdown(socket.SHUT_WR)

    def line(self) -> str:
        """The next line, as it is."""
        return self._reader.readline().decode("latin-1").rstrip("\r\n")

    def answer(self, target: str = "/", method: str = "GET") -> Answer:
        """The next answer; fails where the connection ends before it does."""
        response = HTTPResponse(self._reader, method=method)  # type: ignore[arg-type]  # it only asks for makefile
        response.begin()
        body = response.read()
        return Answer(target, response.status, response.reason, tuple(response.getheaders()), body)

    def ended(self) -> bool:
        """Whether the server sends nothing more and has closed its side."""
        try:
            return self._reader.read(1) == b""
        except ConnectionError:
            return True


class Client:
    """Requests to one service, a connection each."""

    def __init__(self, port: int) -> None:
        self.port = port

    def connect(self, *, timeout: float = 30.0) -> Connection:
        """A connection to send bytes on."""
        return Connection(self.port, timeout=timeout)

    def ask(
        self,
        method: str,
        target: str,
        headers: Headers = (),
        body: bytes | None = None,
        *,
        auth: Credentials | None = None,
    ) -> Answer:
        """One request, one answer. Headers are Host, the length of a body, and what is given."""
        content = request(method, target, headers, body, auth=auth)
        with self.connect() as connection:
            connection.send(content)
            return connection.answer(target, method)

    def get(self, target: str, headers: Headers = (), *, auth: Credentials | None = None) -> Answer:
        """GET, following nothing."""
        return self.ask("GET", target, headers, auth=auth)

    def upload(
        self,
        made: Made,
        name: str,
        version: str = "1.0",
        *,
        auth: Credentials | None,
        target: str = "/legacy/",
        fields: Mapping[str, str] | None = None,
        without: Collection[str] = (),
        more: Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Upload as twine does, with other ``fields``, ``without`` some, and ``more`` of them."""
        sent = {**claim(made, name, version), **(fields or {})}
        pairs = [(key, text) for key, text in sent.items() if key not in without]
        body = multipart([*pairs, *more], made if "content" not in without else None)
        every = {**MULTIPART, **(headers or {})}
        return self.ask("POST", target, every, body, auth=auth)


def claim(made: Made, name: str, version: str) -> dict[str, str]:
    """The fields that twine sends with a file, however it is called."""
    wheel = made.filename.endswith(".whl")
    return {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.4",
        "name": name,
        "version": version,
        "filetype": "bdist_wheel" if wheel else "sdist",
        "pyversion": "py3" if wheel else "source",
        "sha256_digest": hashlib.sha256(made.content).hexdigest(),
        "blake2_256_digest": hashlib.blake2b(made.content, digest_size=32).hexdigest(),
    }


MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def basic(auth: Credentials) -> str:
    """The value of ``Authorization``."""
    return "Basic " + base64.b64encode(":".join(auth).encode()).decode()


def request(
    method: str,
    target: str,
    headers: Headers = (),
    body: bytes | None = None,
    *,
    auth: Credentials | None = None,
) -> bytes:
    """The bytes of a request; a given Host or Content-Length stands instead of ours."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    given = {key.lower() for key, _ in pairs}
    if "host" not in given:
        pairs.insert(0, ("Host", "localhost"))
    if auth is not None:
        pairs.append(("Authorization", basic(auth)))
    if body is not None and not given & {"content-length", "transfer-encoding"}:
        pairs.append(("Content-Length", str(len(body))))
    lines = [f"{method} {target} HTTP/1.1", *(f"{key}: {text}" for key, text in pairs), "", ""]
    return "\r\n".join(lines).encode("latin-1") + (body or b"")


def multipart(
    fields: Iterable[tuple[str, str]], content: Made | None, *, part: str = "content"
) -> bytes:
    """The body of a form; quotes and line ends in names are escaped as browsers do."""
    parts = [_part(f'name="{_escaped(key)}"', _bytes(text)) for key, text in fields]
    if content is not None:
        label = f'name="{part}"; filename="{_escaped(content.filename)}"'
        parts.append(_part(label, content.content))
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def _part(label: str, content: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {label}\r\n\r\n"
    return _bytes(head) + content + b"\r\n"


def _bytes(text: str) -> bytes:
    """UTF-8, also of what no UTF-8 can say."""
    return text.encode("utf-8", "surrogatepass")


def _escaped(text: str) -> str:
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")

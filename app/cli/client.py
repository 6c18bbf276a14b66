"""A running index, asked over its own HTTP API by whoever runs the command."""

from __future__ import annotations

import base64
import http.client
import json
import netrc
import os
import ssl
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urljoin, urlsplit

import typer

from app import __version__, config, errors
from app.cli.opening import TIMEOUT

USERNAME, PASSWORD = "TWINE_USERNAME", "TWINE_PASSWORD"  # names of variables
TOKEN = "__token__"  # noqa: S105  # the name of a user
CHUNK = 2**20
LARGEST = 64 * 2**20
"""Bytes of an answer that is read whole."""
REDIRECTS = 5
_MOVED = (301, 302, 303, 307, 308)
_OK, _UNKNOWN = range(200, 300), 401

Url = Annotated[
    str, typer.Option("--url", help="The index, https://…; none: the one of the settings.")
]
User = Annotated[
    str,
    typer.Option(
        "--username",
        "-u",
        help=f"Who we are; {TOKEN} with a token. The password: {PASSWORD}, ~/.netrc, or asked for.",
    ),
]


class Refused(errors.PypicloudError):
    """What the index answered, where that is no success."""


@dataclass(slots=True)
class Client:
    """One index; credentials are asked for on a terminal when it first wants them."""

    url: str
    username: str = ""
    _password: str | None = field(default=None, repr=False)

    def json(self, method: str, path: str, body: object = None) -> Any:
        """What a request is answered; None where nothing is."""
        content = None if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if content is not None else {}
        with self.ask(method, f"{self.url}{path}", content, kind) as answer:
            read = answer.read(LARGEST)
        try:
            return json.loads(read) if read else None
        except ValueError:
            raise Refused(f"{self.url}{path} does not answer in JSON; is it an index?") from None

    def post(self, path: str, size: int, kind: str, chunks: Callable[[], Iterable[bytes]]) -> str:
        """Send a body of which the length is known; the text that is answered."""
        headers = {"Content-Type": kind, "Content-Length": str(size)}
        with self.ask("POST", f"{self.url}{path}", chunks, headers) as answer:
            return answer.read(LARGEST).decode(errors="replace").strip()

    def download(self, url: str) -> Iterator[bytes]:
        """The bytes behind a URL of the index."""
        with self.ask("GET", url) as answer:
            while chunk := answer.read(CHUNK):
                yield chunk

    @contextmanager
    def ask(
        self,
        method: str,
        url: str,
        body: bytes | Callable[[], Iterable[bytes]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer of a request that succeeds; raises Refused, errors.Unreachable."""
        self._find_password()
        for _ in range(REDIRECTS):
            connection = _connected(url)
            try:
                answer = self._sent(connection, method, url, body, headers or {})
                if answer.status == _UNKNOWN and self._asks_for_password():
                    continue
                if answer.status in _MOVED and method in ("GET", "HEAD"):
                    url = urljoin(url, answer.getheader("Location", ""))
                    continue
                if answer.status not in _OK:
                    raise Refused(_told(answer))
                yield answer
                return
            except (OSError, http.client.HTTPException) as failed:
                where = urlsplit(url).netloc
                raise errors.Unreachable(f"{where}: {_why(failed)}") from failed
            finally:
                connection.close()
        raise errors.Unreachable(f"{self.url} redirects more than {REDIRECTS} times")

    def _sent(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        url: str,
        body: bytes | Callable[[], Iterable[bytes]] | None,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        parts = urlsplit(url)
        target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        sent = {"User-Agent": f"pypicloud/{__version__}", "Accept": "application/json", **headers}
        if parts.netloc == urlsplit(self.url).netloc and self.username:
            pair = base64.b64encode(f"{self.username}:{self._password or ''}".encode())
            sent["Authorization"] = f"Basic {pair.decode()}"
        content = body() if callable(body) else body
        connection.request(method, target, body=content, headers=sent)
        return connection.getresponse()

    def _find_password(self) -> None:
        if self._password is not None:
            return
        self.username = self.username or os.environ.get(USERNAME, "")
        self._password = os.environ.get(PASSWORD)
        found = _in_netrc(self.url) if self._password is None else None
        if found is not None and self.username in ("", found[0]):
            self.username, self._password = found
        if self._password is not None and not self.username:
            self.username = TOKEN

    def _asks_for_password(self) -> bool:
        """Whether somebody at a terminal has given credentials that were missing."""
        if self._password is not None or not sys.stdin.isatty():
            return False
        if not self.username:
            self.username = typer.prompt("Username", err=True)
        self._password = typer.prompt("Password", hide_input=True, err=True)
        return True


def opened(url: str, username: str) -> Client:
    """The index at a URL, or at that of the settings. Raises errors.Invalid."""
    if not url:
        settings = config.load()
        found = settings.public_url or settings.local_url
        if found is None:
            raise errors.Invalid("Which index? Give --url, or set PYPICLOUD_PUBLIC_URL.")
        url = found
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise errors.Invalid("--url is written like https://pypi.example.com")
    if parts.username or parts.password:
        raise errors.Invalid(f"Give --username and {PASSWORD}, no credentials in the URL.")
    base = url.rstrip("/")
    for end in ("/legacy", "/simple"):
        base = base.removesuffix(end)
    return Client(base, username)


def _connected(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)
    return http.client.HTTPConnection(host, port, timeout=TIMEOUT)


def _in_netrc(url: str) -> tuple[str, str] | None:
    try:
        found = netrc.netrc().authenticators(urlsplit(url).hostname or "")
    except (OSError, netrc.NetrcParseError):
        return None
    return (found[0], found[2] or "") if found else None


def _told(answer: http.client.HTTPResponse) -> str:
    """What the index says of a refusal."""
    body = answer.read(LARGEST)
    try:
        message = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        message = answer.reason
    return f"{answer.status}: {message}"


def _why(failed: Exception) -> str:
    if isinstance(failed, ssl.SSLCertVerificationError):
        return f"its certificate cannot be trusted ({failed.verify_message})"
    if isinstance(failed, ConnectionRefusedError):
        return "nothing answers there; start it with 'pypicloud serve', or name another by --url"
    reason = getattr(failed, "strerror", None) or str(failed) or type(failed).__name__
    return reason.partition("\n")[0]

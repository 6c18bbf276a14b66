"""An index to fall back on, which does what a test has it do, and remembers what it was asked."""

from __future__ import annotations

import gzip
import html
import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.factories import Made, make_wheel

OLD = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Asked:
    """A request as it came; names of headers in lower case."""

    path: str
    headers: Mapping[str, str]


@dataclass
class Sent:
    """An answer to be sent: ``after`` seconds, ``cut`` after so many bytes of the body.

    ``pieces`` is a body that is made while it is sent; its length stands in ``headers``.
    ``slow``: seconds between two pieces of 64 KiB.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    after: float = 0.0
    cut: int | None = None
    pieces: Iterable[bytes] | None = None
    slow: float = 0.0


@dataclass
class Listed:
    """A file of a project; ``more`` goes into its entry, and replaces what would stand there."""

    made: Made
    more: dict[str, Any] = field(default_factory=dict)


Fault = Callable[[Asked, Sent], Sent]


@dataclass
class Upstream:
    """What it has, how it answers, and what it was asked."""

    url: str = ""
    projects: dict[str, dict[str, Listed]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    html: bool = False
    metadata: bool = False
    ranges: bool = True
    packed: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    keeps: bool = False
    """Its connections."""
    connections: int = 0
    fault: Fault | None = None
    credentials: str | None = None
    sent: int = 0
    """Bytes of bodies."""

    def reset(self) -> None:
        """Be as at the start, with nothing in it."""
        fresh = Upstream(url=self.url)
        for one in fields(self):
            setattr(self, one.name, getattr(fresh, one.name))

    @property
    def simple(self) -> str:
        """The URL that an installer would be given."""
        return f"{self.url}/simple/"

    def has(
        self,
        name: str,
        version: str = "1.0",
        *,
        made: Made | None = None,
        listed: str | None = None,
        **more: Any,
    ) -> Made:
        """List a wheel; ``listed``: its upload time, an old one else."""
        made = made or make_wheel(name, version)
        if listed is not None:
            more["upload-time"] = listed
        self.projects.setdefault(name, {})[made.filename] = Listed(made, more)
        return made

    def paths(self, part: str = "") -> list[str]:
        """The paths that were asked for, of those that hold ``part``."""
        return [one.path for one in self.asked if part in one.path]

    def answer(self, asked: Asked) -> Sent:
        """What a well-meaning index would send."""
        if self.credentials is not None and asked.headers.get("authorization") != self.credentials:
            return Sent(401)
        kind, _, rest = asked.path.lstrip("/").partition("/")
        if kind == "simple":
            return self._page(rest.strip("/"))
        name, _, filename = rest.partition("/")
        listed = self.projects.get(name, {}).get(filename.removesuffix(".metadata"))
        if kind != "files" or listed is None:
            return Sent(404)
        if filename.endswith(".metadata"):
            return Sent(body=core_metadata(listed.made)) if self.metadata else Sent(404)
        return self._part(listed.made.content, asked.headers.get("range"))

    def _part(self, content: bytes, range: str | None) -> Sent:
        if range is None or not self.ranges:
            return Sent(body=content)
        first, _, last = range.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, len(content) - int(last))
        end = int(last) + 1 if first and last else len(content)
        said = {"Content-Range": f"bytes {start}-{min(end, len(content)) - 1}/{len(content)}"}
        return Sent(206, content[start:end], said)

    def _page(self, name: str) -> Sent:
        if name not in self.projects:
            return Sent(404)
        entries = [self._entry(name, one) for one in self.projects[name].values()]
        if self.html:
            lines = "".join(
                f'<a href="{html.escape(e["url"])}#sha256={e["hashes"]["sha256"]}">'
                f"{e['filename']}</a>"
                for e in entries
            )
            body = f"<!DOCTYPE html><html><body>{lines}</body></html>".encode()
            return Sent(body=body, headers={"Content-Type": "text/html", **self.headers})
        page = {"meta": {"api-version": "1.9"}, "name": name, "files": entries, "versions": []}
        body = json.dumps(page).encode()
        headers = {"Content-Type": "application/vnd.pypi.simple.v1+json", **self.headers}
        if self.packed:
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        return Sent(body=body, headers=headers)

    def _entry(self, name: str, listed: Listed) -> dict[str, Any]:
        made = listed.made
        entry: dict[str, Any] = {
            "filename": made.filename,
            "url": f"../../files/{name}/{made.filename}",
            "hashes": {"sha256": made.sha256},
            "size": len(made.content),
            "upload-time": OLD.isoformat().replace("+00:00", "Z"),
        }
        if self.metadata and made.filename.endswith(".whl"):
            entry["core-metadata"] = {"sha256": Made("", core_metadata(made)).sha256}
        return entry | listed.more


def core_metadata(made: Made) -> bytes:
    """METADATA of a wheel."""
    with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
        (name,) = [one for one in archive.namelist() if one.endswith(".dist-info/METADATA")]
        return archive.read(name)


def _pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 2**16):
        yield body[start : start + 2**16]


@contextmanager
def running(**options: Any) -> Iterator[Upstream]:
    """One on loopback."""
    upstream = Upstream(**options)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            upstream.connections += 1
            super().setup()

        def do_GET(self) -> None:
            asked = Asked(self.path, {k.lower(): v for k, v in self.headers.items()})
            upstream.asked.append(asked)
            sent = upstream.answer(asked)
            if upstream.fault is not None:
                sent = upstream.fault(asked, sent)
            self._send(sent)

        def _send(self, sent: Sent) -> None:
            time.sleep(sent.after)
            self.send_response(sent.status)
            for name, value in sent.headers.items():
                self.send_header(name, value)
            if "Content-Length" not in sent.headers:
                self.send_header("Content-Length", str(len(sent.body)))
            if not upstream.keeps:
                self.send_header("Connection", "close")
            self.end_headers()
            body = sent.body if sent.cut is None else sent.body[: sent.cut]
            for piece in sent.pieces or (_pieces(body) if sent.slow else (body,)):
                self.wfile.write(piece)
                time.sleep(sent.slow)
            upstream.sent += len(sent.body)
            self.close_connection = not upstream.keeps or sent.cut is not None

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: ``asked`` is the log."""

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                self.close_connection = True  # whoever asked has gone

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    upstream.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield upstream
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

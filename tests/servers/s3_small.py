"""A store of a few lines, for what real ones do not do on request; it writes down what it is asked.

It keeps objects and uploads of one bucket in memory, verifies nothing, and is its own STS.
"""

from __future__ import annotations

import hashlib
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

Headers = Mapping[str, str]


class Asked(NamedTuple):
    """A request: its path, decoded; its query by name; its headers in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Headers
    body: bytes

    @property
    def is_create(self) -> bool:
        """Whether it may only create."""
        return self.method == "PUT" and "if-none-match" in self.headers


class Told(NamedTuple):
    """An answer."""

    status: int
    body: bytes = b""
    headers: Headers = MappingProxyType({})


def refusal(status: int, code: str, more: str = "", **headers: str) -> Told:
    """An error as S3 tells it; ``more`` is XML beside the code."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    xml = f"<Error><Code>{code}</Code><Message>as the test wants it</Message>{more}</Error>"
    return Told(status, xml.encode(), named)


@dataclass
class SmallStore:
    """What it holds, and how it behaves. ``instead`` may answer in its place."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    objects: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    uploads: dict[str, dict[int, int]] = field(default_factory=dict)
    """The sizes of the parts of what is under way."""
    instead: Callable[[Asked], Told | None] = lambda asked: None
    by_folder: bool = False
    """Whether it lists ``a/b`` before ``a-b``."""
    lives: timedelta = timedelta(hours=1)
    """What credentials of its STS live."""
    tokens: int = 0
    """How many it gave."""
    busy: int = 0
    busiest: int = 0
    """Requests that came at once, at the most."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def options(self) -> dict[str, object]:
        """The options of ``connect``."""
        keys = {"access_key_id": "key", "secret_access_key": "secret"}
        return {"endpoint_url": self.url, "region": "us-east-1", **keys}

    def writes(self) -> list[Asked]:
        """Every request that began or wrote an object, save those of the start."""
        wrote = (a for a in self.asked if a.method in ("PUT", "POST") and "delete" not in a.query)
        return [a for a in wrote if "/probes/" not in a.path]

    def answer(self, asked: Asked) -> Told:
        """What it says."""
        with self.lock:
            self.asked.append(asked)
            return self.instead(asked) or self.ordinary(asked)

    def ordinary(self, asked: Asked) -> Told:
        """What it says of itself."""
        if asked.path == "/":
            return self._sts(asked)
        _, _, key = asked.path[1:].partition("/")
        if not key:
            return self._list(asked) if asked.method == "GET" else self._delete_many(asked)
        if asked.method == "POST" or "uploadId" in asked.query:
            return self._multipart(key, asked)
        if asked.method == "DELETE":
            self.objects.pop(key, None)
            return Told(204)
        return self._put(key, asked) if asked.method == "PUT" else self._get(key)

    def _put(self, key: str, asked: Asked) -> Told:
        if asked.is_create and key in self.objects:
            return refusal(412, "PreconditionFailed")
        kept = {
            name: asked.headers[name] for name in asked.headers if name.startswith("x-amz-meta")
        }
        self.objects[key] = (asked.body, kept)
        return Told(200, headers={"ETag": f'"{_etag(asked.body)}"'})

    def _get(self, key: str) -> Told:
        if key not in self.objects:
            return refusal(404, "NoSuchKey")
        content, kept = self.objects[key]
        modified = {"Last-Modified": formatdate(usegmt=True), "ETag": f'"{_etag(content)}"'}
        return Told(200, content, {**kept, **modified})

    def _delete_many(self, asked: Asked) -> Told:
        for key in re.findall(rb"<Key>(.*?)</Key>", asked.body):
            self.objects.pop(unescape(key.decode()), None)
        return Told(200, b"<DeleteResult/>")

    def _multipart(self, key: str, asked: Asked) -> Told:
        upload = asked.query.get("uploadId", "")
        if asked.method == "DELETE":
            return Told(204) if self.uploads.pop(upload, None) else refusal(404, "NoSuchUpload")
        if asked.method == "PUT":
            self.uploads[upload][int(asked.query["partNumber"])] = len(asked.body)
            return Told(200, headers={"ETag": f'"{_etag(asked.body)}"'})
        if not upload:
            upload = f"upload-{len(self.asked)}"
            self.uploads[upload] = {}
            xml = f"<R><Key>{escape(key)}</Key><UploadId>{upload}</UploadId></R>"
            return Told(200, xml.encode())
        self.objects[key] = (b"", {"content-length": str(sum(self.uploads.pop(upload).values()))})
        return Told(200, b'<R><ETag>"whole-1"</ETag></R>')

    def _list(self, asked: Asked) -> Told:
        """All keys below the prefix, a thousand a page at the most, in the store's order."""
        order: Callable[[str], Any] = (lambda key: key.split("/")) if self.by_folder else str
        prefix, delimiter = asked.query.get("prefix", ""), asked.query.get("delimiter", "")
        after = asked.query.get("continuation-token") or asked.query.get("start-after", "")
        found: dict[str, bool] = {}
        for key in sorted(self.objects, key=order):
            if not key.startswith(prefix) or order(key) <= order(after):
                continue
            head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            name = prefix + head + cut if cut else key
            if not cut or not after.startswith(name) or "start-after" in asked.query:
                found[name] = bool(cut)
        limit = int(asked.query.get("max-keys", "1000"))
        page = list(found.items())[:limit]
        xml = [f"<IsTruncated>{str(len(found) > limit).lower()}</IsTruncated>"]
        if len(found) > limit:
            xml.append(f"<NextContinuationToken>{escape(page[-1][0])}</NextContinuationToken>")
        for name, common in page:
            if common:
                xml.append(f"<CommonPrefixes><Prefix>{quote(name)}</Prefix></CommonPrefixes>")
                continue
            size = len(self.objects[name][0])
            xml.append(
                f"<Contents><Key>{quote(name)}</Key><Size>{size}</Size><ETag>e</ETag>"
                "<LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
            )
        whole = f"<R><EncodingType>url</EncodingType>{''.join(xml)}</R>"
        return Told(200, whole.encode())

    def _sts(self, asked: Asked) -> Told:
        action = parse_qs(asked.body.decode())["Action"][0]
        self.tokens += 1
        ends = datetime.now(UTC) + self.lives
        xml = (
            f"<{action}Response><{action}Result><Credentials>"
            f"<AccessKeyId>temporary-{self.tokens}</AccessKeyId>"
            "<SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>"
            f"<Expiration>{ends:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials><AssumedRoleUser>"
            "<Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn>"
            "<AssumedRoleId>r:s</AssumedRoleId></AssumedRoleUser>"
            f"</{action}Result></{action}Response>"
        )
        return Told(200, xml.encode())


def _etag(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@contextmanager
def small_store() -> Iterator[SmallStore]:
    """One on a free port."""
    store = SmallStore()

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            with store.lock:
                store.busy += 1
                store.busiest = max(store.busiest, store.busy)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = urlsplit(self.path)
            pairs = (pair.partition("=")[::2] for pair in parts.query.split("&") if pair)
            query = {unquote(name): unquote(value.replace("+", " ")) for name, value in pairs}
            headers = {name.lower(): value for name, value in self.headers.items()}
            told = store.answer(Asked(self.command, unquote(parts.path), query, headers, body))
            with store.lock:
                store.busy -= 1
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            if "content-length" not in told.headers:
                self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(told.body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            if not isinstance(sys.exc_info()[1], ConnectionError):  # a client may go away
                super().handle_error(request, client_address)  # type: ignore[arg-type]  # as given

    with Server(("127.0.0.1", 0), Answer) as server:
        store.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield store
        finally:
            server.shutdown()
            thread.join()

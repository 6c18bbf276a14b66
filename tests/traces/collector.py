"""A collector of traces on loopback: takes OTLP over HTTP and reads its protobuf."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it came; ids in hex, ``parent`` empty where there is none."""

    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, str | int]
    failed: bool


@dataclass
class Collector:
    """What came: spans, the headers of each request, every byte of it."""

    url: str
    spans: list[Span] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    resources: list[dict[str, str]] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)

    def named(self, name: str) -> Span:
        """The first span of a name, once it came."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for span in list(self.spans):
                if span.name == name:
                    return span
            time.sleep(0.05)
        raise AssertionError(f"no span {name!r} among {sorted({one.name for one in self.spans})}")

    def of_requests(self, ids: set[str]) -> list[Span]:
        """The spans of these requests, once all came."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = [s for s in self.spans if s.attributes.get("pypicloud.request_id") in ids]
            if len(found) >= len(ids):
                return found
            time.sleep(0.05)
        raise AssertionError(f"{len(found)} spans of {len(ids)} requests")

    def below(self, span: Span) -> set[str]:
        """The names of what is directly below a span, as far as it came."""
        return {one.name for one in self.spans if one.parent == span.id}

    def take(self, body: bytes) -> None:
        """Read what an exporter sent."""
        self.raw += body
        sent = ExportTraceServiceRequest.FromString(body)
        for of_resource in sent.resource_spans:
            self.resources.append(
                {one.key: one.value.string_value for one in of_resource.resource.attributes}
            )
            for of_scope in of_resource.scope_spans:
                self.spans += [
                    Span(
                        one.name,
                        one.trace_id.hex(),
                        one.span_id.hex(),
                        one.parent_span_id.hex(),
                        {
                            pair.key: pair.value.string_value
                            or pair.value.int_value
                            or pair.value.bool_value
                            for pair in one.attributes
                        },
                        one.status.code == 2,
                    )
                    for one in of_scope.spans
                ]


@contextmanager
def collecting() -> Iterator[Collector]:
    """Listen until the block ends."""
    collector = Collector("")

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            known = self.path == "/v1/traces"
            if known:
                collector.headers.append({k.lower(): v for k, v in self.headers.items()})
                collector.take(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

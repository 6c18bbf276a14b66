"""Whoever is told: keeps what came, and answers as a test wishes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE = 60.0


@dataclass
class Receiver:
    """What came, with its headers, in its order; ``status`` is what is answered."""

    url: str = ""
    status: int = 200
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    refused: int = 0

    @property
    def changes(self) -> list[dict[str, Any]]:
        """Every change that was taken."""
        return [one for _, body in self.came for one in json.loads(body)["changes"]]

    def until(self, done: Callable[[], bool]) -> None:
        """Wait for it."""
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < deadline, self.came
            time.sleep(0.02)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on loopback."""
    receiver = Receiver()

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if receiver.status < 300:
                receiver.came.append(({k.lower(): v for k, v in self.headers.items()}, body))
            else:
                receiver.refused += 1
            self.send_response(receiver.status)
            if receiver.status in (301, 307):
                self.send_header("Location", f"{receiver.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hooks/T0/xyzzy-in-the-path"
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

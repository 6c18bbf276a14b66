"""What a client asked an index: a relay between the two that keeps the request lines."""

from __future__ import annotations

import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from tests.e2e.sandbox import listening
from tests.e2e.server import Server

REQUEST_LINE = re.compile(rb"^((?:GET|HEAD|POST) \S+) HTTP/1\.1\r$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Recording:
    """The index as seen through the relay, and the requests so far: ``GET /simple/a/``."""

    server: Server
    requests: list[str] = field(default_factory=list)

    def ending(self, suffix: str) -> list[str]:
        """The requests whose path ends so."""
        return [request for request in self.requests if request.endswith(suffix)]


@contextmanager
def recorded(server: Server) -> Iterator[Recording]:
    """Relay to ``server`` until the block ends."""
    requests: list[str] = []
    target = urlsplit(server.url)

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((str(target.hostname), target.port or 80)) as upstream:
                back = threading.Thread(target=copy, args=(upstream, self.request, []))
                back.start()
                copy(self.request, upstream, requests)
                back.join()

    with listening(Relay) as url:
        yield Recording(replace(server, url=f"{url}{target.path}"), requests)


def copy(source: socket.socket, target: socket.socket, requests: list[str]) -> None:
    """Send what ``source`` says to ``target`` until it says no more."""
    with suppress(OSError):
        while chunk := source.recv(65536):
            requests += [line.decode() for line in REQUEST_LINE.findall(chunk)]
            target.sendall(chunk)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)

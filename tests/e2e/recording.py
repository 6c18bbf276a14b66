"""What a client asked an index: a relay between the two that keeps the lines that say so."""

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
STATUS_LINE = re.compile(rb"^HTTP/1\.1 (\d{3}) [^\r]*\r$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Recording:
    """The index as seen through the relay; so far ``GET /simple/a/`` was asked, ``200`` answered.

    Both in the order of each connection; connections mix.
    """

    server: Server
    requests: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    def ending(self, suffix: str) -> list[str]:
        """The requests whose path ends so."""
        return [request for request in self.requests if request.endswith(suffix)]


@contextmanager
def recorded(server: Server) -> Iterator[Recording]:
    """Relay to ``server`` until the block ends."""
    requests: list[str] = []
    answers: list[str] = []
    target = urlsplit(server.url)

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((str(target.hostname), target.port or 80)) as upstream:
                ways = (upstream, self.request, STATUS_LINE, answers)
                back = threading.Thread(target=copy, args=ways)
                back.start()
                copy(self.request, upstream, REQUEST_LINE, requests)
                back.join()

    with listening(Relay) as url:
        yield Recording(replace(server, url=f"{url}{target.path}"), requests, answers)


def copy(
    source: socket.socket, target: socket.socket, line: re.Pattern[bytes], kept: list[str]
) -> None:
    """Send what ``source`` says to ``target`` until it says no more; keep the lines that match."""
    with suppress(OSError):
        while chunk := source.recv(65536):
            kept += [found.decode() for found in line.findall(chunk)]
            target.sendall(chunk)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)

"""Which Host a request may name.

Once an allowed or a public host is set, only those and loopback are served. While neither is,
any Host that is well formed is; that is safe because no link and no redirect is ever built
from it: they are made of the public URL, or relative.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.types import Scope

from app.guard.framing import Refusal

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
# Probes ask by the address of a container; what they get has no links.
OPEN = "/health"

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{1,5})?\Z")


def parse(host: str) -> str | None:
    """The name in a Host header, in lower case and without port; None if not well formed."""
    match = _HOST.match(host)
    return None if match is None else match["name"].lower()


class Hosts:
    """The names that are served; ``*.example.com`` stands for everything below it."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        names = {name.lower() for name in allowed}
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))
        self._names = frozenset(names)

    def check(self, scope: Scope) -> None:
        """Raise Refusal for a request to a host that is not served."""
        sent = next((value for name, value in scope["headers"] if name == b"host"), None)
        if sent is None:
            if scope.get("http_version") != "1.0":
                raise Refusal(400, "The Host header field is missing.")
            name: str | None = ""
        else:
            name = parse(sent.decode("latin-1"))
        if name is None:
            raise Refusal(400, "The Host header field is not valid.")
        if not self._names or self._serves(name) or self._is_probe(scope):
            return
        raise Refusal(421, "This host name is not served here (see PYPICLOUD_ALLOWED_HOSTS).")

    def _serves(self, name: str) -> bool:
        return name in self._names or name in LOOPBACK or name.endswith(self._suffixes)

    def _is_probe(self, scope: Scope) -> bool:
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        return path == OPEN or path.startswith(f"{OPEN}/")

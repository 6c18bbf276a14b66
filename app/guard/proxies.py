"""Forwarded headers: believed from proxies that are trusted, for as many hops as there are."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from starlette.types import Scope

from app.guard import hosts

_FORWARDED = frozenset(
    {
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-forwarded-scheme",
        b"x-forwarded-server",
        b"x-forwarded-ssl",
        b"x-real-ip",
    }
)
_TRACING = (b"traceparent", b"tracestate")
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxies:
    """Whom to believe about the client's address, the scheme and the host.

    Of ``X-Forwarded-For`` the last ``hops`` addresses at most are looked at, from the right,
    each one only as long as whoever reported it is trusted. Scheme and host are those that the
    outermost of these hops reported. After that the headers are gone: nothing else reads them.
    """

    def __init__(
        self, trusted: Sequence[_Network] = (), *, hops: int = 1, user_header: str = ""
    ) -> None:
        self._trusted = tuple(trusted)
        self._hops = hops
        self._user_header = user_header.lower().encode("latin-1")

    def apply(self, scope: Scope) -> None:
        """Set client, scheme and Host of the scope, and take the forwarded headers out."""
        self._user(scope)
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        found = {name: value for name, value in headers if name in _FORWARDED}
        if not found:
            return
        kept = [(name, value) for name, value in headers if name not in _FORWARDED]
        scope["headers"] = kept
        client = scope.get("client")
        if client is None or not self._trusts(client[0]):
            return
        hops = self._client(scope, _entries(headers, b"x-forwarded-for"))
        scheme = _reported(_entries(headers, b"x-forwarded-proto"), hops).lower()
        if scheme in ("http", "https"):
            scope["scheme"] = scheme
        host = _reported(_entries(headers, b"x-forwarded-host"), hops)
        if hosts.parse(host) is not None:
            others = [(name, value) for name, value in kept if name != b"host"]
            scope["headers"] = [(b"host", host.encode("latin-1")), *others]

    def tracing(self, scope: Scope) -> Mapping[str, str]:
        """Where a trusted proxy says that the request belongs (W3C Trace Context); else empty."""
        client = scope.get("client")
        if client is None or not self._trusts(client[0]):
            return {}
        found: dict[str, str] = {}
        for name, value in scope["headers"]:
            if name in _TRACING:
                text = name.decode()
                if text in found and text == "traceparent":
                    return {}  # of two one may be the client's own
                found[text] = ",".join(filter(None, (found.get(text), value.decode("latin-1"))))
        return found

    def _user(self, scope: Scope) -> None:
        """Note whom the proxy in front has let in; the header goes no further."""
        wanted, headers = self._user_header, scope["headers"]
        sent = [value for name, value in headers if wanted and name.lower() == wanted]
        if not sent:
            return
        scope["headers"] = [(name, value) for name, value in headers if name.lower() != wanted]
        client = scope.get("client")
        # Of two one may be the client's own.
        if client is not None and self._trusts(client[0]) and len(sent) == 1 and sent[0].strip():
            scope["pypicloud.forwarded_user"] = sent[0].strip().decode("latin-1")

    def _client(self, scope: Scope, addresses: list[str]) -> int:
        """Set the client's address; how many hops away it is."""
        hops = 0
        for text in reversed(addresses[-self._hops :]):
            address = _address(text)
            if address is None:
                break
            hops += 1
            scope["client"] = (address, 0)
            if not self._trusts(address):
                break
        return max(hops, 1)

    def _trusts(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._trusted)


def _entries(headers: list[tuple[bytes, bytes]], wanted: bytes) -> list[str]:
    joined = b",".join(value for name, value in headers if name == wanted)
    return [part.strip() for part in joined.decode("latin-1").split(",") if part.strip()]


def _reported(entries: list[str], hops: int) -> str:
    """What the proxy ``hops`` away said; some set the header anew instead of adding to it."""
    return entries[-min(hops, len(entries))] if entries else ""


def _address(text: str) -> str | None:
    bracketed = text[1:].partition("]")[0] if text.startswith("[") else text
    for candidate in (bracketed, text.partition(":")[0]):
        try:
            return str(ipaddress.ip_address(candidate))
        except ValueError:
            continue
    return None

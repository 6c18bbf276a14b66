"""Headers and paths: what no client needs, and what two readers might understand differently."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from starlette.types import Scope

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
HEADER_COUNT = 100
HEADER_BYTES = 32 * 1024
TARGET_BYTES = 8 * 1024

_SINGLE = frozenset(
    (b"host", b"authorization", b"content-length", b"content-type", b"transfer-encoding")
)
_TOKENS = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_LENGTH = re.compile(rb"[0-9]{1,18}\Z")
# RFC 3986's path characters less ';', which some readers cut a segment at.
_PATH = re.compile(rb"/(?:[A-Za-z0-9._~!$&'()*+,=:@/-]|%[0-9A-Fa-f]{2})*\Z")
_PLAIN = re.compile(rb"/[\x20-\x3a\x3c-\x5b\x5d-\x7e]*\Z")
_WELL_KNOWN = b"/.well-known/"
_ENCODED_SLASH = re.compile(rb"%2f|%5c|%00", re.IGNORECASE)


class Refusal(Exception):
    """The request goes no further; the text is for the client and echoes nothing it sent."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


def check(scope: Scope) -> None:
    """Raise Refusal for a request line or headers that cannot be served."""
    _check_method(scope["method"])
    _check_path(raw_path(scope), scope.get("query_string", b""))
    _check_headers(scope["headers"])


def raw_path(scope: Scope) -> bytes:
    """The path as it was sent; some servers tell only the decoded one."""
    raw: bytes | None = scope.get("raw_path")
    return scope["path"].encode("utf-8", "surrogateescape") if raw is None else raw


def _check_method(method: str) -> None:
    if method in METHODS:
        return
    if method in ("CONNECT", "TRACE"):
        raise Refusal(405, "Method not allowed.", {"Allow": ", ".join(METHODS)})
    raise Refusal(501, "Method not implemented.")


def _check_path(raw: bytes, query: bytes) -> None:
    if len(raw) + len(query) > TARGET_BYTES:
        raise Refusal(414, "The URL is too long.")
    if not _PATH.match(raw) or _ENCODED_SLASH.search(raw):
        raise Refusal(400, "The path has characters or encodings that are not allowed.")
    # Once, as the router does it: what is still encoded afterwards stays so.
    plain = unquote_to_bytes(raw)
    if not _PLAIN.match(plain):
        raise Refusal(400, "The path has characters or encodings that are not allowed.")
    if b"//" in plain or b"/." in plain.replace(_WELL_KNOWN, b"/", 1):
        raise Refusal(400, "The path has empty segments or segments that begin with a dot.")


def _check_headers(headers: list[tuple[bytes, bytes]]) -> None:
    if len(headers) > HEADER_COUNT:
        raise Refusal(431, f"More than {HEADER_COUNT} header fields.")
    if sum(len(name) + len(value) for name, value in headers) > HEADER_BYTES:
        raise Refusal(431, f"Header fields of more than {HEADER_BYTES} bytes.")
    seen: dict[bytes, bytes] = {}
    for name, value in headers:
        name = name.lower()
        if not _TOKENS.match(name):
            raise Refusal(400, "A header field's name is not valid.")
        if name in seen and name in _SINGLE:
            raise Refusal(400, f"The header field {name.decode().title()} was sent twice.")
        seen[name] = value
    _check_length(seen)


def _check_length(seen: Mapping[bytes, bytes]) -> None:
    coding = seen.get(b"transfer-encoding")
    length = seen.get(b"content-length")
    if coding is not None and length is not None:
        raise Refusal(400, "Content-Length and Transfer-Encoding exclude one another.")
    if coding is not None and coding.strip().lower() != b"chunked":
        raise Refusal(501, "The only transfer coding here is 'chunked'.")
    if length is not None and not _LENGTH.match(length.strip()):
        raise Refusal(400, "Content-Length is no number.")

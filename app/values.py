"""How people write the values of settings: several in one variable, hosts, URLs, principals."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

from app import errors
from app.access import principals

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_ROOT_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*\Z")
_HOST = re.compile(r"(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\Z|\[[0-9A-Fa-f:.]+\]\Z")
_PUBLIC_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[^]]*\]|[^/:]+)(?::(?P<port>\d{1,5}))?(?P<path>(?:/.*)?)\Z"
)
_PORTS = {"http": "80", "https": "443"}


def words(value: object) -> object:
    """Several values in one variable, separated by commas or white space."""
    return re.split(r"[\s,]+", value.strip(" \t,")) if isinstance(value, str) and value else value


def principals_of(value: frozenset[str]) -> frozenset[str]:
    """Principals in their one spelling; ``none`` is nobody."""
    try:
        return principals.principals(value - {"", "none"})
    except errors.InvalidName as wrong:
        raise ValueError(str(wrong)) from None


def hosts(value: frozenset[str]) -> frozenset[str]:
    """Host names in lower case."""
    value = frozenset(host.lower() for host in value if host)
    if not all(_HOST.match(host) for host in value):
        raise ValueError("write host names without scheme and port; '*.example.com' is allowed")
    return value


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def port(value: object) -> object:
    """Not what Kubernetes puts beside every pod of a service of our name: ``tcp://…``."""
    return 8000 if isinstance(value, str) and value.startswith("tcp://") else value


def root_path(value: str) -> str:
    """A path without a slash at its end."""
    value = value.rstrip("/")
    if not _ROOT_PATH.match(value):
        raise ValueError("write it like '/packages': plain segments, each after a slash")
    return value


def public_url(value: str) -> str:
    """A URL without a slash at its end, its host as browsers name it in an origin (RFC 6454)."""
    value = value.rstrip("/")
    match = _PUBLIC_URL.match(value)
    if match is None or not _HOST.match(match["host"]) or not _ROOT_PATH.match(match["path"]):
        raise ValueError("write it like 'https://pypi.example.com' or 'https://example.com/pypi'")
    scheme, port = match["scheme"], match["port"]
    tail = "" if port in (None, _PORTS[scheme]) else f":{port}"
    return f"{scheme}://{match['host'].lower()}{tail}{match['path']}"


def listed(value: object) -> object:
    """A list, as a TOML file has it, as text that ``members`` splits."""
    return json.dumps(value) if isinstance(value, list) else value


def has_members(value: str) -> str:
    """What ``members`` can split."""
    members(value)
    return value


def members(value: str) -> tuple[str, ...]:
    """The URLs in a value: one, several after commas, or a JSON list."""
    if not value.lstrip().startswith("["):
        # Commas are parts of some URLs: one that begins another stands before a scheme.
        parts: Any = re.split(r"\s*,\s*(?=[a-z][a-z0-9+.-]*:(?!\d))", value.strip())
    else:
        parts = json.loads(value)
    if not parts or not all(isinstance(part, str) and part for part in parts):
        raise ValueError("write one URL, several with commas between them, or a JSON list")
    return tuple(parts)


Principals = Annotated[
    frozenset[str], NoDecode, BeforeValidator(words), AfterValidator(principals_of)
]
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(words)]
Members = Annotated[str, BeforeValidator(listed), AfterValidator(has_members)]

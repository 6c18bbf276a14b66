"""Where a Redis is: what its URL says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from app import errors

_SCHEME = re.compile(r"(?:redis|valkey)(s?)(?:\+(cluster|sentinel|unix))?\Z")
_NODE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:,]+)(?::(\d{1,5}))?\Z")
_PORT, _SENTINEL_PORT = 6379, 26379
_SECRET = ("username", "password", "sentinel_username", "sentinel_password")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A server, a cluster, or what Sentinels name, that is found by way of any of ``nodes``
    (host and port); or a server on this machine, behind ``socket``."""

    kind: Literal["server", "cluster", "sentinel", "unix"]
    nodes: tuple[tuple[str, int], ...] = ()
    socket: str = ""
    tls: bool = False
    database: int = 0
    username: str | None = None
    password: str | None = None

    @property
    def name(self) -> str:
        """For people; without the password."""
        return self.socket or ", ".join(f"{host}:{port}" for host, port in self.nodes)


def parse(url: str) -> tuple[Place, dict[str, str]]:
    """The place that a URL names, and the options behind it. Raises errors.Misconfigured."""
    parts = urlsplit(url)
    scheme = _SCHEME.match(parts.scheme)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    credentials, _, authority = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    who = (unquote(username) or None, unquote(password) or None)
    if any(name in query for name in _SECRET):
        raise errors.Misconfigured(
            "The cache's URL has a user or password behind its '?'; write "
            "redis://USER:PASSWORD@HOST, or set PYPICLOUD_REDIS__PASSWORD"
        )
    if scheme is not None and scheme.groups() == ("", "unix"):
        return _behind_socket(unquote(parts.path), authority, query, who), query
    matched = [_NODE.match(node) for node in authority.split(",")]
    port = _SENTINEL_PORT if scheme is not None and scheme[2] == "sentinel" else _PORT
    nodes = tuple((node[1].strip("[]"), int(node[2] or port)) for node in matched if node)
    path = parts.path.strip("/")
    if (
        scheme is None
        or scheme[2] == "unix"
        or len(nodes) != len(matched)
        or not (path == "" or path.isdecimal())
    ):
        raise errors.Misconfigured(
            "The cache's URL is not like redis://USER:PASSWORD@HOST:PORT/0?prefix=pypicloud"
        )
    kind: Literal["server", "cluster", "sentinel"] = "server"
    if scheme[2] == "sentinel":
        kind = "sentinel"
    elif scheme[2] == "cluster":
        kind = "cluster"
    elif len(nodes) > 1:
        raise errors.Misconfigured(
            "The cache's URL has several hosts; a cluster is redis+cluster://, "
            "and Sentinels are redis+sentinel://"
        )
    if kind == "cluster" and path not in ("", "0"):
        raise errors.Misconfigured("A Redis cluster has no databases but 0; use prefix=")
    place = Place(
        kind=kind,
        nodes=nodes,
        tls=bool(scheme[1]),
        database=int(path or 0),
        username=who[0],
        password=who[1],
    )
    return place, query


def _behind_socket(
    path: str, authority: str, query: dict[str, str], who: tuple[str | None, str | None]
) -> Place:
    database = query.pop("database", "0")
    if authority or len(path) < 2 or not database.isdecimal():
        raise errors.Misconfigured(
            "The cache's URL is not like redis+unix:///run/redis/redis.sock?database=0"
        )
    return Place(kind="unix", socket=path, database=int(database), username=who[0], password=who[1])

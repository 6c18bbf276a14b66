"""Where a Redis is, and the options of its URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app import errors
from app.quantities import Duration

_SCHEME = re.compile(r"(?:redis|valkey)(s?)(\+cluster)?\Z")
_NODE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:,]+)(?::(\d{1,5}))?\Z")
_PORT = 6379


class RedisOptions(BaseModel):
    """``prefix`` keeps the caches of one server apart; ``timeout`` is for each answer."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )

    prefix: str = Field(default="pypicloud", pattern=r"^[A-Za-z0-9._-]{1,100}$")
    timeout: Duration = timedelta(seconds=5)
    connections: int = Field(default=32, ge=1, le=1000)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """The options of a mapping; errors.Misconfigured, one line, where one cannot be."""
        try:
            return cls.model_validate(dict(options))
        except ValidationError as invalid:
            first = invalid.errors(include_url=False, include_input=False)[0]
            raise errors.Misconfigured(f"{first['loc'][0]}: {first['msg']}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A server, or a cluster that is found by way of any of ``nodes`` (host and port)."""

    nodes: tuple[tuple[str, int], ...]
    tls: bool
    cluster: bool
    database: int
    username: str | None
    password: str | None

    @property
    def name(self) -> str:
        """For people; without the password."""
        return ", ".join(f"{host}:{port}" for host, port in self.nodes)


def parse(url: str) -> tuple[Place, dict[str, str]]:
    """The place that a URL names, and its query. Raises errors.Misconfigured."""
    parts = urlsplit(url)
    scheme = _SCHEME.match(parts.scheme)
    credentials, _, authority = parts.netloc.rpartition("@")
    matched = [_NODE.match(node) for node in authority.split(",")]
    nodes = [(node[1].strip("[]"), int(node[2] or _PORT)) for node in matched if node]
    path = parts.path.strip("/")
    if scheme is None or len(nodes) != len(matched) or not (path == "" or path.isdecimal()):
        raise errors.Misconfigured(
            "The cache's URL is not like redis://USER:PASSWORD@HOST:PORT/0?prefix=pypicloud"
        )
    cluster = scheme[2] is not None
    if not cluster and len(nodes) > 1:
        raise errors.Misconfigured(
            "The cache's URL has several hosts; a cluster is redis+cluster://"
        )
    if cluster and path not in ("", "0"):
        raise errors.Misconfigured("A Redis cluster has no databases but 0; use prefix=")
    username, _, password = credentials.partition(":")
    place = Place(
        nodes=tuple(nodes),
        tls=bool(scheme[1]),
        cluster=cluster,
        database=int(path or 0),
        username=unquote(username) or None,
        password=unquote(password) or None,
    )
    return place, dict(parse_qsl(parts.query, keep_blank_values=True))

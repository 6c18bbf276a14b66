"""A source that speaks the Simple API: Artifactory, Nexus, GitLab, devpi, pypiserver, any."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from urllib.parse import urlsplit, urlunsplit

from packaging.utils import NormalizedName
from pydantic import ValidationError

from app import errors, names
from app.cli.migrating.intake import Wanted
from app.outbound import Outbound
from app.simple import parse
from app.simple.negotiate import Format
from app.upstream.client import Client
from app.upstream.options import UpstreamOptions

PAGE = 256 * 2**20
"""Bytes that a page has at most: the root of a large index is long."""
ACCEPT = f"{Format.JSON}, {Format.HTML};q=0.2, {Format.TEXT};q=0.1"
_EVERYWHERE = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
_OK, _MISSING = 200, 404


@dataclass(frozen=True, slots=True)
class SimpleIndex:
    """Every file of an index, or of the projects whose names fit one of the patterns."""

    client: Client
    patterns: Sequence[str]
    largest: int

    async def files(self) -> AsyncIterator[Wanted]:
        for name in await self._projects():
            try:
                listing = await self._listing(name)
            except (errors.Unreachable, errors.NotFound, ValueError) as wrong:
                yield _problem(name, str(wrong))
                continue
            for link in listing.links:
                yield Wanted(
                    filename=link.filename,
                    where=link.url,
                    read=partial(self._read, link.url),
                    project=name,
                    sha256=link.hashes.get("sha256"),
                    yanked=link.yanked,
                )

    async def _projects(self) -> Sequence[NormalizedName]:
        """Names without a star need no root page, which some indexes do not have."""
        plain = [names.normalize(one) for one in self.patterns if "*" not in one]
        stars = [one for one in self.patterns if "*" in one]
        if plain and not stars:
            return sorted(plain)
        body, format, _ = await self._page(f"{self.client.base}/")
        try:
            listed = {names.normalize(name.strip("/ ")) for name in parse.root(body, format)}
        except (ValueError, errors.InvalidName) as wrong:
            raise errors.Invalid(
                f"{self.client.base}/ is no index (its URL often ends in /simple/): {wrong}"
            ) from None
        if stars:
            listed = {name for name in listed if any(fnmatchcase(name, one) for one in stars)}
        return sorted(listed | set(plain))

    async def _listing(self, name: NormalizedName) -> parse.Listing:
        body, format, url = await self._page(f"{self.client.base}/{name}/")
        listing, _ = parse.tolerant(body, format, url=url)
        return listing

    async def _page(self, url: str) -> tuple[bytes, Format, str]:
        async with self.client.get(url, accept=ACCEPT) as reply:
            _require(reply.status, url)
            kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
            body = await reply.body(limit=PAGE)
            return body, Format.JSON if "json" in kind else Format.TEXT, reply.url

    async def _read(self, url: str) -> AsyncIterator[bytes]:
        async with self.client.get(url, accept="*/*") as reply:
            _require(reply.status, url)
            async with aclosing(reply.chunks(limit=self.largest)) as chunks:
                async for chunk in chunks:
                    yield chunk


def opened(
    url: str,
    *,
    username: str,
    password: str,
    token: str,
    hosts: Sequence[str],
    patterns: Sequence[str],
    plain: bool,
    largest: int,
) -> SimpleIndex:
    """The index at a URL, which may name user and password; errors.Invalid where it cannot be.

    Any address may be asked, since the operator names it.
    """
    parts = urlsplit(url)
    username, password = parts.username or username, parts.password or password
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    who = {"username": username, "password": password} if username and password else {}
    try:
        options = UpstreamOptions.model_validate(
            {
                "url": bare,
                "hosts": tuple(hosts),
                "plain": plain,
                **who,
                **({"token": token} if token and not who else {}),
            }
        )
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_input=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        raise errors.Invalid(f"The index {bare!r} cannot be asked: {message}") from None
    return SimpleIndex(Client(options, Outbound(networks=_EVERYWHERE)), patterns, largest)


def _require(status: int, url: str) -> None:
    if status in (401, 403):
        raise errors.Unreachable(
            f"{url} is answered {status}: give --username and MIGRATE_PASSWORD, or MIGRATE_TOKEN, "
            "of somebody who may read there"
        )
    if status == _MISSING:
        raise errors.NotFound(f"{url} is not there.")
    if status != _OK:
        raise errors.Unreachable(f"{url} is answered {status}")


def _problem(name: NormalizedName, why: str) -> Wanted:
    def nothing() -> AsyncIterator[bytes]:
        raise errors.Invalid(why)

    return Wanted(filename="", where=name, read=nothing, project=name, problem=why)

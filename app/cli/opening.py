"""What the commands open, and how they say what went wrong: one line, never a traceback."""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

import typer
from sqlalchemy import make_url

from app import config, errors, plugins, sqlite
from app.access import books, chain, trail
from app.access.base import Access, EditableAccess, editable
from app.access.ledger import Entry, Ledger
from app.cache.base import Cache
from app.index import Index
from app.models import Actor, Change
from app.outbound import Outbound
from app.storage import probe
from app.storage.base import Storage
from app.upload import attestations
from app.upstream.opening import upstreams
from app.upstream.upstreams import Upstreams

TIMEOUT = 15.0
"""Seconds to wait for an answer."""
INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""
PASSWORD_INPUT = 8192
"""Bytes read of a password on standard input; more than any password may have."""


@asynccontextmanager
async def read_access() -> AsyncIterator[Access]:
    """The access backends of the settings, whether or not they can be edited."""
    settings = config.load()
    await asyncio.to_thread(_tell_of_new, settings.access_urls)
    async with chain.connect(settings.access_urls, settings.access_options) as access:
        yield access


def _tell_of_new(urls: Iterable[str]) -> None:
    """Says to a person that the users' file is made, for in the service's folder it is there."""
    for url in urls:
        path = sqlite.file_of(make_url(url)) if url.startswith("sqlite") else None
        if path is not None and not path.exists() and sys.stderr.isatty():
            typer.echo(
                f"Note: {path.absolute()} is not there, and is made. A service with other "
                "settings, or in another folder, does not read it.",
                err=True,
            )


@asynccontextmanager
async def open_access() -> AsyncIterator[EditableAccess]:
    """The same; errors.NotEditable where nothing can be edited."""
    async with read_access() as access:
        yield editable(access)


@asynccontextmanager
async def open_cache() -> AsyncIterator[Cache]:
    """The cache of the settings."""
    settings = config.load()
    connect = plugins.backend("cache", settings.cache)
    async with connect(settings.cache, settings.cache_options) as cache:
        yield cache


def open_storage(settings: config.Settings) -> AbstractAsyncContextManager[Storage]:
    """The storage of some settings."""
    connect = plugins.backend("storage", settings.storage)
    opened: AbstractAsyncContextManager[Storage] = connect(
        settings.storage, settings.storage_options
    )
    return opened


def open_source(settings: config.Settings) -> AbstractAsyncContextManager[Storage]:
    """The same where it is only read: credentials that may not write are enough for ours."""
    url, options = settings.storage, settings.storage_options
    if url.partition(":")[0] in plugins.OURS["storage"]:
        options = probe.for_reading(options)
    opened: AbstractAsyncContextManager[Storage] = plugins.backend("storage", url)(url, options)
    return opened


@asynccontextmanager
async def open_index() -> AsyncIterator[Index]:
    """The index of the settings; the serials of what was changed are noted at the end."""
    settings = config.load()
    connect_storage = plugins.backend("storage", settings.storage)
    connect_cache = plugins.backend("cache", settings.cache)
    async with (
        connect_storage(settings.storage, settings.storage_options) as storage,
        connect_cache(settings.cache, settings.cache_options) as cache,
    ):
        index = Index(storage, cache, delete_grace=settings.delete_grace)
        yield index
        await index.notes.flush()


@asynccontextmanager
async def open_built_index() -> AsyncIterator[Index]:
    """The same, complete: a cache that was never built is built first."""
    async with open_index() as index:
        if not await index.ready():
            await index.reindex()
        yield index


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallbacks:
    """The upstreams of the settings, and what they stand on."""

    upstreams: Upstreams
    index: Index
    storage: Storage


@asynccontextmanager
async def open_upstreams() -> AsyncIterator[Fallbacks]:
    """The upstreams of the settings, beside an index that is complete.

    Raises errors.Misconfigured where there are none.
    """
    settings = config.load()
    if not settings.fallbacks:
        raise errors.Misconfigured("No upstream is set: set PYPICLOUD_UPSTREAM or _UPSTREAMS.")
    await asyncio.to_thread(settings.spool.mkdir, parents=True, exist_ok=True)
    attestor = await attestations.opened(settings.attestation_root)
    connect_storage = plugins.backend("storage", settings.storage)
    async with (
        open_built_index() as index,
        connect_storage(settings.storage, settings.storage_options) as storage,
        upstreams(
            settings,
            index,
            storage,
            Outbound(networks=settings.outbound_networks),
            spool=settings.spool,
            largest=settings.max_file_size,
            verify=attestor.publishers if attestor else None,
        ) as opened,
    ):
        yield Fallbacks(upstreams=opened, index=index, storage=storage)


@asynccontextmanager
async def open_ledger() -> AsyncIterator[tuple[Access, Ledger]]:
    """Users, who may be read only, and the ledger of the settings."""
    settings = config.load()
    async with (
        read_access() as access,
        books.opened(settings.ledger, access, settings.access_options) as ledger,
    ):
        yield access, ledger


async def note(
    action: str,
    target: str,
    *,
    outcome: str = "ok",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write what was done into the audit trail; a ledger that fails costs a warning."""
    entry = Entry(
        number=0,
        time=datetime.now(UTC),
        action=action,
        actor=operator(),
        target=trail.whom(action, target),
        outcome=outcome,
        before=before,
        after=after,
    )
    try:
        async with open_ledger() as (_, ledger):
            await ledger.trail.append(entry)
    except errors.PypicloudError as error:
        typer.echo(f"Warning: done, but not written into the audit trail: {error}", err=True)


async def record(
    action: str,
    name: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Record a change of access that stands already; a cache that fails costs a warning."""
    await note(action, name, before=before, after=after)
    change = Change(action=action, time=datetime.now(UTC), actor=operator(), filename=name)
    try:
        async with open_cache() as cache:
            await cache.record(change)
    except errors.PypicloudError as error:
        typer.echo(f"Warning: done, but not recorded among the changes: {error}", err=True)


def operator() -> Actor:
    """Whoever runs the command, as the operating system knows them."""
    try:
        return Actor(kind="operator", id=getpass.getuser())
    except (KeyError, OSError):  # a container's user often has no name
        return Actor(kind="operator", id=f"uid-{os.getuid()}")


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the command with one line: 2 for what was asked wrongly, 130 by Ctrl-C, else 1."""
    try:
        yield
    except KeyboardInterrupt:
        fail("interrupted. Give the same command again, and it goes on.", code=INTERRUPTED)
    except errors.PypicloudError as error:
        wrong = isinstance(error, errors.Invalid | errors.Misconfigured)
        fail(str(error), code=2 if wrong else 1)


def status_of(url: str) -> int:
    """The status of a GET, by no proxy; OSError where there is no answer. It blocks."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=TIMEOUT) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as refused:
        return refused.code


def fail(line: str, *, code: int = 1) -> NoReturn:
    """End the command."""
    typer.echo(f"Error: {line}", err=True)
    raise typer.Exit(code)


def new_password(from_stdin: bool) -> str:
    """A password asked for twice, or all of standard input but one newline at its end."""
    if not from_stdin:
        asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return asked
    try:
        text = sys.stdin.buffer.read(PASSWORD_INPUT).decode()
    except UnicodeDecodeError:
        fail("The password on standard input is not UTF-8.", code=2)
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text

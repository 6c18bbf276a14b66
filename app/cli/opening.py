"""What the commands open, and how they say what went wrong: one line, never a traceback."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import NoReturn

import typer

from app import config, errors, plugins
from app.access.base import EditableAccess
from app.cache.base import Cache
from app.index import Index
from app.models import Actor, Change

PASSWORD_INPUT = 8192
"""Bytes read of a password on standard input; more than any password may have."""


@asynccontextmanager
async def open_access() -> AsyncIterator[EditableAccess]:
    """The access backend of the settings; errors.Misconfigured where it cannot be edited."""
    settings = config.load()
    connect = plugins.backend("access", settings.access)
    options = {"password_min_length": settings.password_min_length}
    async with connect(settings.access, options) as access:
        if not hasattr(access, "add_user"):
            raise errors.Misconfigured("The users of this access backend are edited elsewhere.")
        yield access


@asynccontextmanager
async def open_cache() -> AsyncIterator[Cache]:
    """The cache of the settings."""
    settings = config.load()
    connect = plugins.backend("cache", settings.cache)
    async with connect(settings.cache, settings.cache_options) as cache:
        yield cache


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


async def record(action: str, name: str) -> None:
    """Record a change of access that stands already; a cache that fails costs a warning."""
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
    """Ends the command with the error's line: 2 for what was asked wrongly, else 1."""
    try:
        yield
    except errors.PypicloudError as error:
        wrong = isinstance(error, errors.Invalid | errors.Misconfigured)
        fail(str(error), code=2 if wrong else 1)


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

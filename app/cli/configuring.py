"""``pypicloud config init|check|show`` and ``pypicloud doctor``."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from app import __version__, config, errors
from app.cli import opening
from app.cli.dialogue import Dialogue
from app.cli.examining import Examined, examined
from app.cli.masking import changed, shown
from app.cli.migrating import toml

commands = typer.Typer(
    name="config", no_args_is_help=True, help="Settings: make, check and show them."
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_PRIVATE = 0o600
_COLORS = {"ok": "green", "note": "yellow", "wrong": "red"}
_LIBRARIES = (
    "fastapi", "starlette", "uvicorn", "httptools", "pydantic", "pydantic-settings", "sqlalchemy",
    "aiosqlite", "asyncpg", "asyncmy", "aioboto3", "botocore", "gcloud-aio-storage",
    "azure-storage-blob", "redis", "python-ldap", "argon2-cffi", "bcrypt", "packaging", "uvloop",
)  # fmt: skip


@commands.command()
def init(
    file: Annotated[Path, typer.Argument(help="Where the settings go.")] = Path("pypicloud.toml"),
) -> None:
    """Ask a few questions, and write settings; make the first admin."""
    if file.exists() and not typer.confirm(f"{file} is there already. Write over it?", err=True):
        raise typer.Abort
    with opening.one_line_errors():
        answers = Dialogue().ask()
        text = toml.dump(answers.settings, ["Settings of PyPICloud; docs/configuration.md"])
        _write(file, text)
        os.environ[config.CONFIG] = str(file)
        config.load()
        if answers.admin is not None:
            asyncio.run(_admin(*answers.admin))
    typer.echo(f"Wrote {file}.")
    typer.echo(f"Check it: PYPICLOUD_CONFIG={file} pypicloud config check")
    typer.echo(f"Serve it: PYPICLOUD_CONFIG={file} pypicloud serve")


@commands.command()
def check(as_json: Json = False) -> None:
    """Try all that the settings name: open it, write, read, sign, remove.

    Says what is wrong, and how to put it right. Ends with 1 when anything is.
    """
    with opening.one_line_errors():
        found = asyncio.run(_examined())
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2))
    else:
        console = Console(soft_wrap=True, highlight=False)
        for one in found:
            line = Text(f"{one.state:5}  ", style=_COLORS[one.state])
            console.print(line.append(f"{one.what}: {one.text}", style="default"))
            if one.cure and one.state != "ok":
                console.print(Text(f"       to do: {one.cure}"))
    if any(one.state == "wrong" for one in found):
        raise typer.Exit(1)


@commands.command()
def show(
    every: Annotated[bool, typer.Option("--all", help="Defaults as well.")] = False,
    as_json: Json = False,
) -> None:
    """Print the settings as they hold, secrets hidden."""
    with opening.one_line_errors():
        settings = config.load()
    found = shown(settings) if every else changed(settings)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        typer.echo(f"{name}={_text(value)}")


def doctor(as_json: Json = False) -> None:
    """Print one page about this installation for a bug report; there is no secret in it."""
    with opening.one_line_errors():
        settings = config.load()
        found = asyncio.run(_examined())
    if as_json:
        page = {
            "pypicloud": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "sources": _sources(),
            "libraries": dict(_versions()),
            "settings": changed(settings),
            "tried": [asdict(one) for one in found],
        }
        typer.echo(json.dumps(page, indent=2))
        return
    lines = [
        f"PyPICloud {__version__}",
        f"Python {platform.python_version()} ({sys.implementation.name}), {platform.platform()}",
        f"CPUs {os.cpu_count()}, open files {resource.getrlimit(resource.RLIMIT_NOFILE)[0]}, "
        f"free here {shutil.disk_usage('.').free // 2**30} GiB",
        f"Settings from {', '.join(_sources()) or 'defaults alone'}",
        "",
        "Libraries:",
        *(f"  {name} {version}" for name, version in _versions()),
        "",
        "Settings that are no defaults:",
        *(f"  {name}={_text(value)}" for name, value in changed(settings).items()),
        "",
        "What was tried:",
        *(f"  {one.state:5}  {one.what}: {one.text}" for one in found),
    ]
    for line in lines:
        typer.echo(line)


async def _examined() -> list[Examined]:
    settings = config.load()
    return [one async for one in examined(settings)]


async def _admin(name: str, password: str) -> None:
    async with opening.open_access() as access:
        if await access.user(name) is None:
            await access.add_user(name, password, admin=True)
            return
    typer.echo(f"There is a user {name} already; its password stays.", err=True)


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(_PRIVATE)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise errors.Misconfigured(f"{file} cannot be written: {error.strerror}") from error


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _sources() -> list[str]:
    named = sum(name.startswith(config.PREFIX) for name in os.environ)
    found = [f"{named} variables"] if named else []
    found += [".env"] if Path(".env").is_file() else []
    return found + (["a TOML file"] if os.environ.get(config.CONFIG) else [])


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in _LIBRARIES:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            found.append((name, "is not installed"))
    return found

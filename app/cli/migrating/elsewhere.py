"""``pypicloud migrate folder|pypiserver|simple|devpi``: the files of any other index."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from app import config, errors
from app.access.base import People
from app.access.hashes import is_hash
from app.cli import opening, people
from app.cli.adopt import make_spool
from app.cli.migrating import simple
from app.cli.migrating.folders import DevpiExport, Folder
from app.cli.migrating.intake import Intake, Outcome, Source
from app.cli.migrating.people import Found
from app.cli.showing import plain, spinner
from app.config import Settings
from app.upload.inspection import inspectors

WORDS = {
    "taken": "taken in",
    "wanted": "would be taken in",
    "there": "there already",
    "left": "left behind",
}
PASSWORD, TOKEN = "MIGRATE_PASSWORD", "MIGRATE_TOKEN"  # names
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object a line, the last the counts.")
]
Only = Annotated[
    list[str] | None,
    typer.Option("--project", help="A project, or a pattern with *; may be given again."),
]
Hosts = Annotated[
    list[str] | None,
    typer.Option("--host", help="Another host that holds the index's files; may be given again."),
]
Username = Annotated[
    str, typer.Option(help=f"Who we are there; the password is in the variable {PASSWORD}.")
]
Plain = Annotated[bool, typer.Option("--plain", help="Go over http though it is not this machine.")]
MakeSource = Callable[[Settings], Source]


def folder(
    path: Annotated[Path, typer.Argument(help="A folder with distributions, at any depth.")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take in every wheel and sdist below a folder."""
    _run(lambda settings: Folder(path), dry_run=dry_run, as_json=as_json)


def pypiserver(
    path: Annotated[Path, typer.Argument(help="The folder of pypiserver's packages.")],
    htpasswd: Annotated[
        Path | None, typer.Option("--htpasswd", help="Its file of users, to import as well.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take in the packages of a pypiserver, and its users."""
    if htpasswd is not None:
        with opening.one_line_errors():
            found = _htpasswd(htpasswd)
            changes = [] if dry_run else asyncio.run(people.brought(_with(found)))
        for line in found.left:
            typer.echo(plain(f"left behind: {line}"), err=as_json)
        verb = "would be imported" if dry_run else f"{len(changes)} changes"
        typer.echo(f"{len(found.accounts)} users; {verb}.", err=as_json)
    _run(lambda settings: Folder(path), dry_run=dry_run, as_json=as_json)


def simple_index(
    url: Annotated[str, typer.Argument(help="What clients are given as index URL.")],
    project: Only = None,
    username: Username = "",
    host: Hosts = None,
    plain_http: Plain = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take in the files of any index: Artifactory, Nexus, GitLab, CodeArtifact, pypiserver …"""

    def make(settings: Settings) -> Source:
        return _index(settings, url, project, username, host, plain_http)

    _run(make, dry_run=dry_run, as_json=as_json)


def devpi(
    place: Annotated[str, typer.Argument(help="The folder of an export, or the URL of an index.")],
    index: Annotated[
        list[str] | None,
        typer.Option("--index", help="An index of the export, USER/NAME; may be given again."),
    ] = None,
    project: Only = None,
    username: Username = "",
    plain_http: Plain = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take in the releases of a devpi: from its export, or from one index of a running server."""

    def make(settings: Settings) -> Source:
        if "://" not in place:
            return DevpiExport(Path(place), tuple(index or ()))
        url = place.rstrip("/")
        url = url if url.endswith("/+simple") else f"{url}/+simple"
        return _index(settings, f"{url}/", project, username, None, plain_http)

    _run(make, dry_run=dry_run, as_json=as_json)


def _index(
    settings: Settings,
    url: str,
    project: list[str] | None,
    username: str,
    host: list[str] | None,
    plain_http: bool,
) -> Source:
    return simple.opened(
        url,
        username=username,
        password=os.environ.get(PASSWORD, ""),
        token=os.environ.get(TOKEN, ""),
        hosts=host or (),
        patterns=project or (),
        plain=plain_http,
        largest=settings.max_file_size,
    )


def _run(make: MakeSource, *, dry_run: bool, as_json: bool) -> None:
    with opening.one_line_errors():
        counts = asyncio.run(_taken(make, dry_run=dry_run, as_json=as_json))
        if counts["taken"]:
            asyncio.run(opening.note("migrate", "", after=dict(counts)))
    if as_json:
        typer.echo(json.dumps({"dry_run": dry_run, **{word: counts[word] for word in WORDS}}))
    else:
        told = [f"{counts[state]} {words}" for state, words in WORDS.items() if counts[state]]
        typer.echo(f"{', '.join(told) or 'Nothing there'}.")
    if counts["left"]:
        raise typer.Exit(1)


async def _taken(make: MakeSource, *, dry_run: bool, as_json: bool) -> Counter[str]:
    settings = config.load()
    source = make(settings)
    counts: Counter[str] = Counter()
    await asyncio.to_thread(make_spool, settings.spool)
    pool = nullcontext(None) if dry_run else inspectors(count=settings.inspectors)
    async with opening.open_built_index() as index, pool as inspector:
        intake = Intake(
            index=index,
            inspector=inspector,
            spool=settings.spool,
            largest=settings.max_file_size,
            actor=opening.operator(),
        )
        with spinner() as shown:
            task = shown.add_task("Asking the source")
            async with aclosing(intake.run(source)) as outcomes:
                async for outcome in outcomes:
                    counts[outcome.state] += 1
                    _say(outcome, as_json=as_json)
                    told = f"{counts.total()} files, {outcome.project or outcome.where}"
                    shown.update(task, description=plain(told))
    return counts


def _say(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(outcome)))
    elif outcome.reason is not None:
        typer.echo(plain(f"left behind: {outcome.where}: {outcome.reason}"))


def _htpasswd(file: Path) -> Found:
    """The users of an Apache password file, as far as their hashes can be verified."""
    found = Found()
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8"
        raise errors.Invalid(f"{file} cannot be read: {why}") from error
    for line in lines:
        name, colon, hash = line.strip().partition(":")
        if not colon or name.startswith("#"):
            continue
        if not is_hash(hash):
            found.left.append(f"user {name!r}: the hash of the password is of no known format")
        else:
            found.user(name, hash)
    return found


def _with(found: Found) -> Callable[[bool], People]:
    def read(open_now: bool) -> People:
        return People(accounts=found.people().accounts, registration=open_now)

    return read

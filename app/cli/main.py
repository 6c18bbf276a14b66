"""The command ``pypicloud``.

Exit codes: 0 done, 1 it failed (or a check found something), 2 wrong arguments or settings,
3 the service could not start.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from app import __version__
from app.cli import (
    adopt,
    audit,
    backup,
    configuring,
    copy,
    grants,
    groups,
    index,
    keeping,
    manage,
    migrate,
    mirror,
    people,
    projects,
    publishers,
    retaining,
    sending,
    serve,
    tokens,
    users,
)
from app.opening import hush

app = typer.Typer(
    name="pypicloud",
    help="A private Python package index.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pypicloud {__version__}")
        raise typer.Exit


@app.callback()
def pypicloud(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A private Python package index. Settings: PYPICLOUD_… variables, .env, or a TOML file."""
    hush()


app.command()(serve.serve)
for group in (
    users,
    groups,
    grants,
    people,
    tokens,
    publishers,
    audit,
    migrate,
    mirror,
    configuring,
    projects,
):
    app.add_typer(group.commands)
app.command("hash-password")(users.hash_password)
app.command("restore-backup")(backup.restore_backup)
for command in (
    index.reindex,
    index.check,
    adopt.adopt,
    copy.copy,
    configuring.doctor,
    sending.upload,
    sending.download,
    keeping.stats,
    keeping.gc,
    retaining.retention,
    backup.backup,
    manage.yank,
    manage.delete,
    manage.restore,
):
    app.command()(command)


def main() -> None:
    """Run it; help and slips are told with frames on a terminal, and plainly elsewhere."""
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        app.rich_markup_mode = None
    app()

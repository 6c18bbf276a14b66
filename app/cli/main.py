"""The command ``pypicloud``.

Exit codes: 0 done, 1 it failed (or a check found something), 2 wrong arguments or settings,
3 the service could not start.
"""

from __future__ import annotations

from typing import Annotated

import typer

from app import __version__
from app.cli import adopt, index, manage, serve, users

app = typer.Typer(
    name="pypicloud",
    help="A private Python package index.",
    no_args_is_help=True,
    add_completion=False,
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


app.command()(serve.serve)
app.add_typer(users.commands)
app.command("hash-password")(users.hash_password)
for command in (
    index.reindex,
    index.check,
    adopt.adopt,
    manage.yank,
    manage.delete,
    manage.restore,
):
    app.command()(command)


def main() -> None:
    """Run it."""
    app()

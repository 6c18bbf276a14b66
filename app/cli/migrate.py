"""``pypicloud migrate …``: everything that came from elsewhere."""

from __future__ import annotations

import typer

from app.cli.migrating import elsewhere, former

commands = typer.Typer(
    name="migrate", no_args_is_help=True, help="Bring over what another index holds."
)
commands.command("pypicloud")(former.pypicloud)
commands.command("folder")(elsewhere.folder)
commands.command("pypiserver")(elsewhere.pypiserver)
commands.command("simple")(elsewhere.simple_index)
commands.command("devpi")(elsewhere.devpi)

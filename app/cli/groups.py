"""``pypicloud group …``: groups and their members."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Annotated

import typer

from app import errors
from app.access.base import origin
from app.cli import opening, showing
from app.cli.showing import Done, Json, tell
from app.cli.users import edit

commands = typer.Typer(name="group", no_args_is_help=True, help="Groups: add, join, leave, delete.")

Name = Annotated[str, typer.Argument(help="The group; upper and lower case are the same.")]
User = Annotated[str, typer.Argument(help="The user.")]


@commands.command("list")
def list_groups(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """List all groups and their members."""
    with opening.one_line_errors():
        groups = asyncio.run(_groups())
    if as_json:
        listed = {name: sorted(members) for name, members in groups.items()}
        typer.echo(json.dumps(listed, indent=2))
        return
    rows = ((name, ", ".join(sorted(members))) for name, members in groups.items())
    showing.table(("group", "members"), rows)


@commands.command()
def add(name: Name, as_json: Json = False) -> None:
    """Add a group without members."""
    action = "group.create"
    edit(action, name, lambda access: access.add_group(name))
    tell(Done(f"Added group {name.lower()}.", action, {"name": name.lower()}), as_json)


@commands.command()
def join(name: Name, user: User, as_json: Json = False) -> None:
    """Put a user into a group."""
    _set_member(name, user, True, as_json)


@commands.command()
def leave(name: Name, user: User, as_json: Json = False) -> None:
    """Take a user out of a group."""
    _set_member(name, user, False, as_json)


@commands.command()
def delete(name: Name, as_json: Json = False) -> None:
    """Delete a group, and all that was granted to it."""
    action = "group.delete"
    edit(action, name, lambda access: access.delete_group(name))
    tell(Done(f"Deleted group {name.lower()}.", action, {"name": name.lower()}), as_json)


def _set_member(name: str, user: str, member: bool, as_json: bool) -> None:
    action = "group.member.add" if member else "group.member.remove"
    edit(action, name, lambda access: access.set_member(name, user, member))
    line = f"{user.lower()} is {'' if member else 'not '}in group {name.lower()}."
    tell(Done(line, action, {"name": name.lower(), "member": user.lower()}), as_json)


async def _groups() -> Mapping[str, frozenset[str]]:
    async with opening.read_access() as access:
        if not hasattr(access, "groups"):
            raise errors.NotEditable(origin(access))
        groups: Mapping[str, frozenset[str]] = await access.groups()
        return groups

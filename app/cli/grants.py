"""``pypicloud grant …``: who may do what with one project."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

import typer

from app import errors, names
from app.access import granting
from app.access.base import Grants
from app.access.principals import principal as principal_of
from app.cli import opening, showing
from app.cli.showing import Done, Json, tell
from app.models import Permission

commands = typer.Typer(name="grant", no_args_is_help=True, help="Grants: list, set, delete.")

Project = Annotated[str, typer.Argument(help="The project, however it is spelled.")]
Principal = Annotated[str, typer.Argument(help="everyone, authenticated, user:NAME or group:NAME.")]


@commands.command("list")
def list_grants(
    project: Project,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """List the explicit grants on a project; none: the defaults hold."""
    with opening.one_line_errors():
        grants = asyncio.run(_grants(project))
    listed = {who: sorted(grants[who]) for who in sorted(grants)}
    if as_json:
        typer.echo(json.dumps(listed, indent=2))
        return
    rows = ((who, ", ".join(permissions)) for who, permissions in listed.items())
    showing.table(("who", "may"), rows)


@commands.command("set")
def set_grant(
    project: Project,
    principal: Principal,
    permissions: Annotated[list[Permission], typer.Argument(help="What they are to have.")],
    as_json: Json = False,
) -> None:
    """Set what somebody has on a project; one that is not there yet will begin with it."""
    with opening.one_line_errors():
        there, facts = asyncio.run(_set(project, principal, frozenset(permissions)))
    when = "" if there else ", once it is there"
    line = f"{principal} has {', '.join(sorted(permissions))} on {project}{when}."
    tell(Done(line, "grant.set", facts), as_json)


@commands.command()
def delete(project: Project, principal: Principal, as_json: Json = False) -> None:
    """Take away all that was granted to somebody on a project."""
    with opening.one_line_errors():
        _, facts = asyncio.run(_set(project, principal, frozenset()))
    line = f"{principal} has nothing on {project} but by default."
    tell(Done(line, "grant.delete", facts), as_json)


async def _grants(project: str) -> Grants:
    name = names.normalize(project)
    async with opening.read_access() as access, opening.open_built_index() as index:
        return await access.grants(name, await index.generation(name))


async def _set(
    project: str, principal: str, permissions: frozenset[Permission]
) -> tuple[bool, dict[str, Any]]:
    """Whether the project is there, and what was granted."""
    name, who = names.normalize(project), principal_of(principal)
    async with opening.open_access() as access, opening.open_built_index() as index:
        if not await index.ready():
            raise errors.Misconfigured("The cache is not built; run 'pypicloud reindex' first.")
        held = await access.grants(name, await index.generation(name))
        before = held.get(who, frozenset())
        generation = await granting.grant(access, index.generation, name, who, permissions)
        changed = granting.changes(access, before, permissions)
    if changed:
        await opening.record(
            "grant.set" if permissions else "grant.delete",
            f"{name} {who}",
            before={"permissions": sorted(before)},
            after={"permissions": sorted(permissions)},
        )
    facts = {"project": name, "principal": who, "permissions": sorted(permissions)}
    return generation is not None, facts

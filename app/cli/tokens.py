"""``pypicloud token …``: API tokens, made for a user, listed, revoked."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from app import config, errors
from app.access import tokens
from app.access.ledger import Token
from app.cli import opening, showing
from app.cli.showing import Done, Json, tell
from app.models import Permission, Scope
from app.names import normalize

commands = typer.Typer(name="token", no_args_is_help=True, help="API tokens: create, list, revoke.")

_DAY = timedelta(days=1)
Owner = Annotated[str, typer.Argument(help="The user whose token it is.")]


@commands.command()
def create(
    owner: Owner,
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    project: Annotated[
        list[str] | None, typer.Option(help="A name or a pattern such as 'corp-*'; repeatable.")
    ] = None,
    permission: Annotated[
        list[Permission] | None, typer.Option(help="What it is for; repeatable.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="How long it holds.")] = None,
    creates: Annotated[bool, typer.Option("--creates", help="May claim free names.")] = False,
    admin: Annotated[bool, typer.Option("--admin", help="May do an admin's work.")] = False,
    network: Annotated[
        list[str] | None, typer.Option(help="From where it may be used (CIDR); repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a token and print it, this once; without options it reads what the user may read."""
    with opening.one_line_errors():
        names = [tokens.project_or_pattern(text) for text in project or ["*"]]
        scope = Scope(
            permissions=frozenset(permission or [Permission.READ]),
            projects=dict.fromkeys(names),
            creates=creates,
            admin=admin,
        )
        networks = [tokens.network(text) for text in network or ()]
        lifetime = None if days is None else days * _DAY
        token, text = asyncio.run(_create(owner, name, scope, networks, lifetime))
        facts = {**_listed(token), "token": text}
    tell(Done(text, "token.create", facts), as_json)


@commands.command("list")
def list_tokens(
    owner: Annotated[str | None, typer.Argument(help="Of this user alone.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List tokens, newest first."""
    with opening.one_line_errors():
        found = asyncio.run(_list(owner))
    if as_json:
        typer.echo(json.dumps([_listed(one) for one in found], indent=2))
        return
    head = ("id", "owner", "for", "holds", "use", "name")
    showing.table(head, map(_row, found), aligned=False)


@commands.command()
def revoke(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of tokens.")] = None,
    owner: Annotated[str | None, typer.Option(help="All tokens of this user.")] = None,
    as_json: Json = False,
) -> None:
    """Revoke tokens, at once."""
    if not ids and owner is None:
        opening.fail("Name the ids of tokens, or --owner.", code=2)
    with opening.one_line_errors():
        gone = asyncio.run(_revoke(ids or [], owner))
        facts = {"tokens": [_listed(token) for token in gone]}
    if gone or as_json:
        lines = "\n".join(f"Revoked {token.id}." for token in gone)
        tell(Done(lines, "token.revoke", facts), as_json)


def _row(token: Token) -> tuple[str, ...]:
    owned = token.owner or f"publisher {token.publisher}"
    permissions, projects = sorted(token.scope.permissions), sorted(token.scope.projects)
    scope = f"{','.join(permissions)} {','.join(projects)}"
    used = f"used {token.last_used:%Y-%m-%d}" if token.last_used else "never used"
    return token.id, owned, scope, _until(token), used, token.name


def _until(token: Token) -> str:
    """How long it holds, or since when it does not."""
    ends = _ends(token)
    if ends > datetime.now(UTC):
        return f"until {token.expires:%Y-%m-%d}"
    how = "expired" if ends == token.expires else "unused, refused since"
    return f"{how} {ends:%Y-%m-%d}"


def _ends(token: Token) -> datetime:
    return tokens.ends(token, config.load().tokens.unused_after)


def shown(token: Token) -> dict[str, Any]:
    """A token without its secret, as JSON says it."""
    return {
        "id": token.id,
        "name": token.name,
        "owner": token.owner,
        "publisher": token.publisher,
        "projects": sorted(token.scope.projects),
        "permissions": sorted(token.scope.permissions),
        "creates": token.scope.creates,
        "admin": token.scope.admin,
        "networks": list(token.networks),
        "created": token.created.isoformat(),
        "expires": token.expires.isoformat(),
        "last_used": token.last_used.isoformat() if token.last_used else None,
    }


def _listed(token: Token) -> dict[str, Any]:
    """The same, when it ends by the settings, and what it was made with."""
    return {**shown(token), "ends": _ends(token).isoformat(), "parent": token.parent}


async def _create(
    owner: str, name: str, scope: Scope, networks: list[str], lifetime: timedelta | None
) -> tuple[Token, str]:
    limits = config.load().tokens
    lifetime = lifetime or limits.default_lifetime
    if lifetime > limits.max_lifetime:
        raise errors.Invalid(f"A token holds for {limits.max_lifetime.days} days at most.")
    async with opening.open_ledger() as (access, ledger):
        known = await access.known(owner)
        if known is None:
            raise errors.UserNotFound(owner)
        if scope.admin and not known.admin:
            raise errors.Invalid(f"The user {known.actor.id!r} is no admin.")
        token, text = tokens.make(
            tokens.kind_of(scope),
            scope=await _pinned(scope),
            now=datetime.now(UTC),
            lifetime=lifetime,
            name=name,
            owner=known.actor.id,
            owner_stamp=known.stamp,
            networks=networks,
        )
        await ledger.tokens.add(token)
    await opening.record("token.create", f"token:{token.id}", after=shown(token))
    return token, text


async def _pinned(scope: Scope) -> Scope:
    """The scope with the generations of the projects that are there."""
    pinned = dict(scope.projects)
    if named := [project for project in pinned if "*" not in project]:
        async with opening.open_built_index() as index:
            for project in named:
                pinned[project] = await index.generation(normalize(project))
    return Scope(
        permissions=scope.permissions, projects=pinned, creates=scope.creates, admin=scope.admin
    )


async def _list(owner: str | None) -> list[Token]:
    async with opening.open_ledger() as (_, ledger):
        return list(await ledger.tokens.of(None if owner is None else owner.lower()))


async def _revoke(ids: list[str], owner: str | None) -> list[Token]:
    async with opening.open_ledger() as (_, ledger):
        found = [] if owner is None else list(await ledger.tokens.of(owner.lower()))
        for id in ids:
            token = await ledger.tokens.find(id)
            if token is None:
                raise errors.TokenNotFound(id)
            found.append(token)
        gone = [token for token in found if await ledger.tokens.revoke(token.id)]
    for token in gone:
        await opening.record("token.revoke", f"token:{token.id}", before=shown(token))
    return found

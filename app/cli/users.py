"""``pypicloud user …`` and ``pypicloud hash-password``: who may use the index."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from app import config, errors
from app.access import signup, upkeep
from app.access.base import EditableAccess, User, editable, origin
from app.access.passwords import Passwords
from app.cli import opening, showing

commands = typer.Typer(name="user", no_args_is_help=True, help="Users: add, list, change, delete.")

Name = Annotated[str, typer.Argument(help="The user's name; upper and lower case are the same.")]
Stdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]
Edit = Callable[[EditableAccess], Awaitable[None]]


@commands.command()
def add(
    name: Name,
    admin: Annotated[bool, typer.Option("--admin", help="May do everything.")] = False,
    password_stdin: Stdin = False,
) -> None:
    """Add a user."""
    password = opening.new_password(password_stdin)
    _change("user.create", name, lambda access: access.add_user(name, password, admin=admin))
    typer.echo(f"Added {'admin' if admin else 'user'} {name.lower()}.")


@commands.command("list")
def list_users(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List all users."""
    with opening.one_line_errors():
        users = asyncio.run(_users())
    if as_json:
        typer.echo(json.dumps([asdict(user) for user in users], indent=2))
        return
    marks = ("admin", "disabled", "pending")
    showing.table(
        ("user", "is"),
        ((user.name, ", ".join(mark for mark in marks if getattr(user, mark))) for user in users),
    )


@commands.command()
def passwd(name: Name, password_stdin: Stdin = False) -> None:
    """Give a user a new password."""
    password = opening.new_password(password_stdin)
    _change("user.password.change", name, lambda access: access.set_password(name, password))
    typer.echo(f"Changed the password of {name.lower()}.")


@commands.command()
def disable(name: Name) -> None:
    """Let a user in no more, at once."""
    _change("user.disable", name, lambda access: access.set_disabled(name, True))
    typer.echo(f"Disabled {name.lower()}.")


@commands.command()
def enable(name: Name) -> None:
    """Let a disabled user in again."""
    _change("user.enable", name, lambda access: access.set_disabled(name, False))
    typer.echo(f"Enabled {name.lower()}.")


@commands.command()
def admin(
    name: Name,
    revoke: Annotated[bool, typer.Option("--revoke", help="Make it an ordinary user.")] = False,
) -> None:
    """Make a user an admin."""
    action = "user.admin.revoke" if revoke else "user.admin.grant"
    _change(action, name, lambda access: access.set_admin(name, not revoke))
    typer.echo(f"{name.lower()} is {'no admin any more' if revoke else 'an admin'}.")


@commands.command()
def approve(name: Name) -> None:
    """Let in somebody who registered."""
    _change("user.approve", name, lambda access: access.approve(name))
    typer.echo(f"Approved {name.lower()}.")


@commands.command()
def invite(
    name: Name,
    days: Annotated[int | None, typer.Option(min=1, max=90, help="How long it works.")] = None,
) -> None:
    """Print a sign-up token, with which somebody becomes a user; it works once."""
    with opening.one_line_errors():
        settings = config.load()
        if settings.signup_key is None:
            raise errors.Misconfigured(f"{config.variable('signup_key')} is not set.")
        lifetime = settings.signup_expires if days is None else timedelta(days=days)
        invitation = signup.invite(name, datetime.now(UTC) + lifetime)
        asyncio.run(_invited(invitation.name))
    typer.echo(signup.sign(invitation, settings.signup_key.get_secret_value()))


@commands.command()
def delete(name: Name) -> None:
    """Delete a user, all that was granted to it, and its tokens and sessions."""
    with opening.one_line_errors():
        asyncio.run(_delete(name))
    typer.echo(f"Deleted {name.lower()}.")


def hash_password(password_stdin: Stdin = False) -> None:
    """Print the argon2id hash of a password."""
    password = opening.new_password(password_stdin)
    with opening.one_line_errors():
        typer.echo(asyncio.run(_hash(password)))


def edit(action: str, name: str, change: Edit) -> None:
    """Change access, then record it among the changes."""
    with opening.one_line_errors():
        asyncio.run(_edit(action, name, change))


def _change(action: str, name: str, change: Edit) -> None:
    """Change a user, and end the sessions that were begun with what is changed."""
    with opening.one_line_errors():
        asyncio.run(_changed(action, name, change))


async def _changed(action: str, name: str, change: Edit) -> None:
    async with opening.open_ledger() as (access, ledger):
        editing = editable(access)
        before = await editing.user(name)
        await change(editing)
        after = await editing.user(name)
        if before is not None:
            await ledger.sessions.end_all(name.lower())
    facts = {} if before == after else {"before": _facts(before), "after": _facts(after)}
    await opening.record(action, name.lower(), **facts)


def _facts(user: User | None) -> dict[str, Any] | None:
    return None if user is None else {k: v for k, v in asdict(user).items() if k != "name"}


async def _edit(action: str, name: str, change: Edit) -> None:
    async with opening.open_access() as access:
        await change(access)
    await opening.record(action, name.lower())


async def _delete(name: str) -> None:
    async with opening.open_ledger() as (access, ledger):
        await editable(access).delete_user(name)
        ended = await upkeep.end(ledger, name.lower())
    await opening.record("user.delete", name.lower(), after={"ended": ended})


async def _invited(name: str) -> None:
    async with opening.open_access() as access:
        if await access.user(name) is not None:
            raise errors.UserExists(name)
    await opening.record("user.invite", name)


async def _users() -> list[User]:
    async with opening.read_access() as access:
        if not hasattr(access, "users"):
            raise errors.NotEditable(origin(access))
        return list(await access.users())


async def _hash(password: str) -> str:
    passwords = Passwords(min_length=config.load().password_min_length)
    try:
        return await passwords.hash(password)
    finally:
        await passwords.close()

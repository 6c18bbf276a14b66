"""``pypicloud user …`` and ``pypicloud hash-password``: who may use the index."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from app import config, errors
from app.access import signup, upkeep
from app.access.base import EditableAccess, User, editable, origin
from app.access.passwords import Passwords
from app.cli import opening, showing
from app.cli.showing import Done, Json, tell

commands = typer.Typer(name="user", no_args_is_help=True, help="Users: add, list, change, delete.")

Name = Annotated[str, typer.Argument(help="The user's name; upper and lower case are the same.")]
Stdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]
Edit = Callable[[EditableAccess], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Act:
    """What is done to a user, and how that is told."""

    action: str
    name: str
    line: str
    as_json: bool


@commands.command()
def add(
    name: Name,
    admin: Annotated[bool, typer.Option("--admin", help="May do everything.")] = False,
    password_stdin: Stdin = False,
    as_json: Json = False,
) -> None:
    """Add a user."""
    password = opening.new_password(password_stdin)
    line = f"Added {'admin' if admin else 'user'} {name.lower()}."
    _change(
        Act("user.create", name, line, as_json),
        lambda access: access.add_user(name, password, admin=admin),
    )


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
def passwd(name: Name, password_stdin: Stdin = False, as_json: Json = False) -> None:
    """Give a user a new password."""
    password = opening.new_password(password_stdin)
    act = Act("user.password.change", name, f"Changed the password of {name.lower()}.", as_json)
    _change(act, lambda access: access.set_password(name, password))


@commands.command()
def disable(name: Name, as_json: Json = False) -> None:
    """Let a user in no more, at once."""
    act = Act("user.disable", name, f"Disabled {name.lower()}.", as_json)
    _change(act, lambda access: access.set_disabled(name, True))


@commands.command()
def enable(name: Name, as_json: Json = False) -> None:
    """Let a disabled user in again."""
    act = Act("user.enable", name, f"Enabled {name.lower()}.", as_json)
    _change(act, lambda access: access.set_disabled(name, False))


@commands.command()
def admin(
    name: Name,
    revoke: Annotated[bool, typer.Option("--revoke", help="Make it an ordinary user.")] = False,
    as_json: Json = False,
) -> None:
    """Make a user an admin."""
    action = "user.admin.revoke" if revoke else "user.admin.grant"
    line = f"{name.lower()} is {'no admin any more' if revoke else 'an admin'}."
    act = Act(action, name, line, as_json)
    _change(act, lambda access: access.set_admin(name, not revoke))


@commands.command()
def approve(name: Name, as_json: Json = False) -> None:
    """Let in somebody who registered."""
    act = Act("user.approve", name, f"Approved {name.lower()}.", as_json)
    _change(act, lambda access: access.approve(name))


@commands.command()
def invite(
    name: Name,
    days: Annotated[int | None, typer.Option(min=1, max=90, help="How long it works.")] = None,
    as_json: Json = False,
) -> None:
    """Print a sign-up token, with which somebody becomes a user; it works once."""
    with opening.one_line_errors():
        settings = config.load()
        if settings.signup_key is None:
            raise errors.Misconfigured(f"{config.variable('signup_key')} is not set.")
        lifetime = settings.signup_expires if days is None else timedelta(days=days)
        invitation = signup.invite(name, datetime.now(UTC) + lifetime)
        asyncio.run(_invited(invitation.name))
    token = signup.sign(invitation, settings.signup_key.get_secret_value())
    expires = invitation.expires.isoformat()
    facts = {"name": invitation.name, "token": token, "expires": expires}
    tell(Done(token, "user.invite", facts), as_json)


@commands.command()
def delete(name: Name, as_json: Json = False) -> None:
    """Delete a user, all that was granted to it, and its tokens and sessions."""
    with opening.one_line_errors():
        ended = asyncio.run(_delete(name))
    facts = {"name": name.lower(), "ended": dict(ended)}
    tell(Done(f"Deleted {name.lower()}.", "user.delete", facts), as_json)


def hash_password(password_stdin: Stdin = False) -> None:
    """Print the argon2id hash of a password."""
    password = opening.new_password(password_stdin)
    with opening.one_line_errors():
        typer.echo(asyncio.run(_hash(password)))


def edit(action: str, name: str, change: Edit) -> None:
    """Change access, then record it among the changes."""
    with opening.one_line_errors():
        asyncio.run(_edit(action, name, change))


def _change(act: Act, change: Edit) -> None:
    """Change a user, and end the sessions that were begun with what is changed."""
    with opening.one_line_errors():
        user = asyncio.run(_changed(act.action, act.name, change))
    tell(
        Done(act.line, act.action, {"name": act.name.lower(), **(_facts(user) or {})}), act.as_json
    )


async def _changed(action: str, name: str, change: Edit) -> User | None:
    async with opening.open_ledger() as (access, ledger):
        editing = editable(access)
        before = await editing.user(name)
        await change(editing)
        after = await editing.user(name)
        if before is not None:
            await ledger.sessions.end_all(name.lower())
    facts = {} if before == after else {"before": _facts(before), "after": _facts(after)}
    await opening.record(action, name.lower(), **facts)
    return after


def _facts(user: User | None) -> dict[str, Any] | None:
    return None if user is None else {k: v for k, v in asdict(user).items() if k != "name"}


async def _edit(action: str, name: str, change: Edit) -> None:
    async with opening.open_access() as access:
        await change(access)
    await opening.record(action, name.lower())


async def _delete(name: str) -> Mapping[str, int]:
    async with opening.open_ledger() as (access, ledger):
        await editable(access).delete_user(name)
        ended = await upkeep.end(ledger, name.lower())
    await opening.record("user.delete", name.lower(), after={"ended": ended})
    return ended


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

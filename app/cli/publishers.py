"""``pypicloud publisher …``: trusted publishers, added, listed, removed."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from packaging.utils import NormalizedName
from ulid import ULID

from app import config, errors
from app.access.ledger import Publisher
from app.access.oidc.conditions import checked
from app.access.oidc.issuers import configured, table
from app.access.oidc.providers import PROVIDERS
from app.cli import opening, showing
from app.cli.showing import Done, Json, tell
from app.names import normalize

commands = typer.Typer(
    name="publisher", no_args_is_help=True, help="Trusted publishers: add, list, remove."
)

Project = Annotated[str, typer.Argument(help="The project; it need not exist yet.")]


@commands.command()
def add(
    project: Project,
    condition: Annotated[
        list[str], typer.Argument(help="NAME=VALUE, such as repository=octo/spam; several.")
    ],
    provider: Annotated[str, typer.Option(help="Where builds run.")] = "github",
    issuer: Annotated[str | None, typer.Option(help="Where it is not the only one.")] = None,
    as_json: Json = False,
) -> None:
    """Let builds that fit the conditions upload: pypicloud publisher add spam repository=o/r …"""
    with opening.one_line_errors():
        name = normalize(project)
        publisher = asyncio.run(_add(name, provider, issuer, _conditions(condition)))
    state = "waits for the project" if publisher.generation is None else "may upload"
    line = f"Added {publisher.id}: it {state}."
    tell(Done(line, "publisher.add", shown(publisher)), as_json)


@commands.command("list")
def list_publishers(
    project: Project,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List a project's publishers, pending ones too."""
    with opening.one_line_errors():
        found = asyncio.run(_list(normalize(project)))
    if as_json:
        typer.echo(json.dumps([shown(publisher) for publisher in found], indent=2))
        return
    rows = (
        (
            publisher.id,
            publisher.provider,
            " ".join(f"{name}={value}" for name, value in publisher.conditions.items()),
            "pending" if publisher.generation is None else "",
        )
        for publisher in found
    )
    showing.table(("id", "provider", "conditions", ""), rows, aligned=False)


@commands.command()
def remove(
    project: Project,
    id: Annotated[str, typer.Argument(help="The publisher's id.")],
    as_json: Json = False,
) -> None:
    """Remove a publisher; tokens that were minted for it end at once."""
    with opening.one_line_errors():
        publisher = asyncio.run(_remove(normalize(project), id))
    tell(Done(f"Removed {id}.", "publisher.remove", shown(publisher)), as_json)


def shown(publisher: Publisher) -> dict[str, Any]:
    """A publisher as JSON says it."""
    return {
        "id": publisher.id,
        "project": publisher.project,
        "provider": publisher.provider,
        "issuer": publisher.issuer,
        "conditions": dict(publisher.conditions),
        "pinned": dict(publisher.pinned),
        "pending": publisher.generation is None,
        "added": publisher.added.isoformat(),
        "added_by": f"{publisher.added_by.kind}:{publisher.added_by.id}",
    }


def _conditions(texts: list[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name in found:
            raise errors.Invalid(f"Write conditions like NAME=VALUE, each once; not {text!r}.")
        found[name] = value
    return found


async def _add(
    project: NormalizedName, provider: str, url: str | None, given: dict[str, str | None]
) -> Publisher:
    if provider not in PROVIDERS:
        raise errors.Invalid(f"A provider is one of {', '.join(PROVIDERS)}.")
    known = table(one.entry for one in config.load().oidc_issuers)
    issuer = configured(known, provider, url)
    if issuer is None:
        raise errors.Invalid("Name an issuer of PYPICLOUD_OIDC_ISSUERS that is of this provider.")
    conditions = checked(PROVIDERS[provider], given)
    async with opening.open_built_index() as index:
        generation = await index.generation(project)
    publisher = Publisher(
        id=str(ULID()),
        project=project,
        generation=generation,
        provider=provider,
        issuer=issuer.url,
        conditions=conditions,
        added=datetime.now(UTC),
        added_by=opening.operator(),
    )
    async with opening.open_ledger() as (_, ledger):
        await ledger.publishers.add(publisher)
    await opening.record("publisher.add", f"project:{project}", after=shown(publisher))
    return publisher


async def _list(project: NormalizedName) -> list[Publisher]:
    async with opening.open_ledger() as (_, ledger):
        return list(await ledger.publishers.of(project))


async def _remove(project: NormalizedName, id: str) -> Publisher:
    async with opening.open_ledger() as (_, ledger):
        publisher = await ledger.publishers.find(id)
        if publisher is None or publisher.project != project:
            raise errors.PublisherNotFound(id)
        await ledger.publishers.remove(id)
    await opening.record("publisher.remove", f"project:{project}", before=shown(publisher))
    return publisher

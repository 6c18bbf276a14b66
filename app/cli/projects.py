"""``pypicloud project list|show|status``: a thin client of a running index."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from app import errors, names
from app.cli import client, opening
from app.cli.showing import plain, table
from app.models import Status

commands = typer.Typer(
    name="project", no_args_is_help=True, help="Projects of a running index: list, show, status."
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="The project, however it is spelled.")]
PAGE = 1000


@commands.command("list")
def list_projects(
    query: Annotated[str, typer.Argument(help="Part of a name or summary; none: all.")] = "",
    url: client.Url = "",
    username: client.User = "",
    as_json: Json = False,
) -> None:
    """List the projects that one may read."""
    with opening.one_line_errors():
        found = _listed(client.opened(url, username), query)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    rows = ((line["name"], line["version"], line["summary"]) for line in found)
    table(("project", "newest", "summary"), rows)


@commands.command()
def show(
    project: Name, url: client.Url = "", username: client.User = "", as_json: Json = False
) -> None:
    """Show a project and its files."""
    with opening.one_line_errors():
        path = f"/api/v1/projects/{names.normalize(project)}"
        found = client.opened(url, username).json("GET", path)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    reason = f" ({found['reason']})" if found["reason"] else ""
    typer.echo(plain(f"{found['display_name']}: {found['status']}{reason}"))
    rows = (
        (
            file["filename"],
            str(file["size"]),
            file["upload_time"][:10],
            file["uploader"],
            f"yanked: {file['yanked_reason'] or 'no reason'}" if file["yanked"] else "",
        )
        for file in found["files"]
    )
    head = ("file", "bytes", "uploaded", "by", "")
    table(head, rows, aligned=False, indent="  ")


@commands.command()
def status(
    project: Name,
    wanted: Annotated[Status, typer.Argument(metavar="STATUS", help="What it is to be.")],
    reason: Annotated[str, typer.Option("--reason", help="Shown by installers.")] = "",
    url: client.Url = "",
    username: client.User = "",
    as_json: Json = False,
) -> None:
    """Archive, quarantine, deprecate or reactivate a project (PEP 792)."""
    with opening.one_line_errors():
        path = f"/api/v1/projects/{names.normalize(project)}"
        body = {"status": wanted.value, "reason": reason or None}
        found = client.opened(url, username).json("PATCH", path, body)
    typer.echo(json.dumps(found, indent=2) if as_json else f"{found['name']} is {found['status']}.")


def _listed(index: client.Client, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        asked = f"query={quote(query)}&cursor={quote(cursor)}&limit={PAGE}"
        page = index.json("GET", f"/api/v1/projects?{asked}")
        if not isinstance(page, dict) or "projects" not in page:
            raise errors.Unreachable(f"{index.url} does not answer as an index does.")
        found += page["projects"]
        cursor = page["next"]
    return found

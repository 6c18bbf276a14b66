"""``pypicloud retention``: what the rules of a running index let go, looked at and deleted."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.filesize import decimal

from app import errors
from app.cli import client, opening
from app.cli.showing import table

AT_ONCE = 500
"""Files that are deleted by one request."""


def retention(
    apply: Annotated[
        bool, typer.Option("--apply/--dry-run", help="Delete, or only say what would be.")
    ] = False,
    url: client.Url = "",
    username: client.User = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List what the rules of retention let go; with --apply delete what was listed.

    Admins alone may ask. What was deleted can be restored as any deleted file.
    """
    with opening.one_line_errors():
        index = client.opened(url, username)
        found = _listed(index)
        if apply:
            found = _deleted(index, found)
    if as_json:
        typer.echo(json.dumps({"applied": apply, "files": found}))
        return
    rows = ((line["filename"], decimal(line["size"]), line["why"]) for line in found)
    table(("file", "size", "why"), rows)
    verb = "deleted" if apply else "would be deleted"
    typer.echo(f"{len(found)} files {verb}, {decimal(sum(line['size'] for line in found))}.")
    if found and not apply:
        typer.echo("Nothing was deleted; delete with --apply.")


def _listed(index: client.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = index.json("GET", f"/api/v1/retention?cursor={quote(cursor)}")
        if not isinstance(page, dict) or "files" not in page:
            raise errors.Unreachable(f"{index.url} does not answer as an index does.")
        found += page["files"]
        cursor = page["next"]
    return found


def _deleted(index: client.Client, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that went: what changed since it was listed stays."""
    gone: list[dict[str, Any]] = []
    for start in range(0, len(listed), AT_ONCE):
        chosen = [
            {key: line[key] for key in ("project", "filename", "sha256")}
            for line in listed[start : start + AT_ONCE]
        ]
        gone += index.json("POST", "/api/v1/retention", {"files": chosen})["files"]
    return gone

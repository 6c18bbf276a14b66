"""Tables and the progress of long work on a terminal; plain lines, and no progress, in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@dataclass(frozen=True, slots=True)
class Done:
    """What an act did: a line for people, and what programs are told of it.

    ``action`` is that of the audit trail, None where nothing was to change; what else is named
    is named as the API does.
    """

    line: str
    action: str | None
    facts: Mapping[str, Any]


def tell(done: Done, as_json: bool) -> None:
    """Print what was done."""
    named = {} if done.action is None else {"action": done.action}
    typer.echo(json.dumps({**named, **done.facts}) if as_json else done.line)


def bar() -> Progress:
    """Shown on a terminal only, on standard error; standard output may go elsewhere."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        disable=not console.is_terminal,
    )


def spinner() -> Progress:
    """The same for work whose end nobody knows."""
    console = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, aligned: bool = True, indent: str = ""
) -> None:
    """Rows with a head on a terminal; in a pipe lines, their parts two spaces apart.

    ``aligned``: such lines have their first parts in a column.
    """
    listed = [[plain(part) for part in row] for row in rows]
    if sys.stdout.isatty():
        if not listed:
            typer.echo("None.")
            return
        shown = Table(*head, box=SIMPLE_HEAD, pad_edge=False)
        for row in listed:
            shown.add_row(*(Text(part, overflow="fold") for part in row))
        Console().print(shown)
        return
    width = max((len(row[0]) for row in listed), default=0) if aligned else 0
    for first, *others in listed:
        typer.echo(indent + "  ".join([f"{first:{width}}", *filter(None, others)]).rstrip())


def plain(line: str) -> str:
    """The line with what is not printable escaped: keys are whatever somebody wrote."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in line
    )

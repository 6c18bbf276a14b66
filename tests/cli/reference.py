"""``docs/cli.md``, made from the commands as they are: ``python -m tests.cli.reference``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from app.cli.main import app

MANUAL = Path(__file__).parents[2] / "docs" / "cli.md"
HEAD = """\
# The command line

`pypicloud COMMAND --help` says the same as this page, which is made from the commands.

Commands that open storage, cache or access go by the [settings](configuration.md): `PYPICLOUD_…`
variables, `.env` in the working directory, or the TOML file that `PYPICLOUD_CONFIG` names.
`upload`, `download`, `project` and `retention` ask a running index instead, over its HTTP API;
`yank`, `delete` and `restore` do with `--url`.

On a terminal lists are tables, and long work shows its progress, on standard error; in a pipe
output is plain, and with `--json` it is JSON: what was done is an object with the `action`, as the
audit trail names it, and with what the [API](http-api.md) says of the same. Whatever
takes long may be interrupted (Ctrl-C), and goes on when it is run again.

| exit code | |
| --- | --- |
| 0 | done |
| 1 | it failed, or something was found, refused or left behind |
| 2 | wrong arguments or settings |
| 3 | the service could not start |
| 130 | it was interrupted |

An error is one line on standard error, never a traceback; behind wrong arguments the usage stands
before it. Shell completion: `pypicloud
--install-completion`, for the shell that runs it; `--show-completion` prints it.

What commands change stands in the [audit trail](audit.md), under the name of the operator who ran
them.
"""


def manual() -> str:
    """The whole page."""
    root: Any = typer.main.get_command(app)
    lines = [HEAD]
    for path, command in commands(root, ()):
        lines += _section(path, command)
    return "\n".join(lines).rstrip() + "\n"


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, by what one types."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name in sorted(inner):
        yield from commands(inner[name], (*path, name))


def _section(path: tuple[str, ...], command: Any) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [
        one for one in command.params if one.param_type_name == "option" and one.name != "help"
    ]
    usage = " ".join(["pypicloud", *path, *(_metavar(one) for one in arguments)])
    yield f"## {' '.join(path)}\n"
    yield f"    {usage}{' [OPTIONS]' if options else ''}\n"
    yield " ".join((command.help or "").split()) + "\n"
    rows = [(f"`{_bare(one)}`", one.help) for one in arguments]
    rows += [(", ".join(f"`{name}`" for name in _names(one)), one.help) for one in options]
    if rows:
        yield "| | |\n| --- | --- |"
        yield from (f"| {name} | {' '.join((help or '').split())} |" for name, help in rows)
        yield ""


def _names(option: Any) -> list[str]:
    return [*option.opts, *option.secondary_opts]


def _bare(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _metavar(argument: Any) -> str:
    shown = _bare(argument) + ("…" if argument.nargs == -1 else "")
    return shown if argument.required else f"[{shown}]"


if __name__ == "__main__":
    MANUAL.write_text(manual(), encoding="utf-8")

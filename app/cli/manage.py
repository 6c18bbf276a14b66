"""``pypicloud yank``, ``delete`` and ``restore``: what is published.

With ``--url`` a running index is asked, as whoever has the credentials; without, the operator
of the service does it by its settings, whether or not the service runs. Both are audited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from packaging.utils import NormalizedName

from app import errors, names
from app.cli import asking, client, opening
from app.cli.showing import plain
from app.index import Index
from app.models import File

Project = Annotated[str, typer.Argument(help="The project's name, in any spelling.")]
What = Annotated[str, typer.Argument(help="A version, or a filename.")]
Anything = Annotated[str | None, typer.Argument(help="A version or filename; none: the project.")]
Act = Callable[[Index, NormalizedName], Awaitable[str]]
Url = Annotated[
    str, typer.Option("--url", help="A running index, https://…; none: by the settings, directly.")
]
User = Annotated[
    str, typer.Option("--username", "-u", help="Who we are to that index; as of upload.")
]


def yank(
    project: Project,
    what: What,
    reason: Annotated[str, typer.Option("--reason", help="Shown by installers.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Take the yank back.")] = False,
    url: Url = "",
    username: User = "",
) -> None:
    """Yank a release or a file: installers take it only where it is pinned (PEP 592)."""

    async def act(index: Index, name: NormalizedName) -> str:
        files = await _files(index, name, what)
        if undo:
            await index.unyank(files, opening.operator())
            await _note("file.unyank", files)
            return f"{_named(files)} no longer yanked."
        await index.yank(files, reason, opening.operator())
        await _note("file.yank", files, reason)
        return f"{_named(files)} yanked."

    _run(project, act, url, username, lambda it: it.yank(what, reason, undo))


def delete(
    project: Project,
    what: Anything = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = "",
    username: User = "",
) -> None:
    """Delete a project, a release or a file. Filenames stay taken for ever."""

    async def act(index: Index, name: NormalizedName) -> str:
        if what is None:
            files = list((await index.project(name)).published)
            _confirm(f"Delete project {name} and its {len(files)} files?", yes)
            await index.delete_project(name, opening.operator())
            await opening.note("project.delete", f"project:{name}")
            return f"Deleted project {name}."
        files = await _files(index, name, what)
        _confirm(f"Delete {_named(files)}?", yes)
        for file in files:
            await index.delete(file, opening.operator())
        await _note("file.delete", files)
        return f"Deleted {_named(files)}."

    def asked(it: asking.Asking) -> str:
        return it.delete(what, lambda question: _confirm(question, yes))

    _run(project, act, url, username, asked)


def restore(
    project: Project,
    filename: Annotated[
        str | None, typer.Argument(help="A file, by its whole name; none: the project.")
    ] = None,
    url: Url = "",
    username: User = "",
) -> None:
    """Bring back what was deleted, as long as its bytes are kept."""

    async def act(index: Index, name: NormalizedName) -> str:
        if filename is None:
            await index.restore_project(name, opening.operator())
            await opening.note("project.restore", f"project:{name}")
            return f"Restored project {name}."
        await index.restore(name, filename, opening.operator())
        await opening.note("file.restore", f"file:{name}/{filename}")
        return f"Restored {filename}."

    _run(project, act, url, username, lambda it: it.restore(filename))


def _run(
    project: str, act: Act, url: str, username: str, asked: Callable[[asking.Asking], str]
) -> None:
    async def run(name: NormalizedName) -> str:
        async with opening.open_index() as index:
            if not await index.ready():
                raise errors.Misconfigured("The cache is not built; run 'pypicloud reindex' first.")
            return await act(index, name)

    with opening.one_line_errors():
        name = names.normalize(project)
        if url:
            typer.echo(plain(asked(asking.Asking(client.opened(url, username), name))))
            return
        if username:
            raise errors.Invalid("--username is for an index that --url names.")
        typer.echo(asyncio.run(run(name)))


async def _files(index: Index, name: NormalizedName, what: str) -> list[File]:
    project = await index.project(name)
    found = [file for file in project.published if file.filename == what]
    found = found or list(project.release(what))
    if not found:
        raise errors.ReleaseNotFound(name, what)
    return found


async def _note(action: str, files: list[File], reason: str | None = None) -> None:
    """An entry for each file."""
    for file in files:
        after = None if reason is None else {"yanked": reason}
        await opening.note(action, f"file:{file.project}/{file.filename}", after=after)


def _named(files: list[File]) -> str:
    return ", ".join(file.filename for file in files)


def _confirm(question: str, yes: bool) -> None:
    if not yes and not typer.confirm(question):
        raise typer.Abort

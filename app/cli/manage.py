"""``pypicloud yank``, ``delete`` and ``restore``: what is published.

With ``--url`` a running index is asked, as whoever has the credentials; without, the operator
of the service does it by its settings, whether or not the service runs. Both are audited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer
from packaging.utils import NormalizedName

from app import config, errors, names
from app.cli import asking, client, opening
from app.cli.showing import Done, Json, tell
from app.index import Index
from app.index.manage import to_restore
from app.models import File, FileState
from app.routes.schemas import FileDetail

Project = Annotated[str, typer.Argument(help="The project's name, in any spelling.")]
What = Annotated[str, typer.Argument(help="A version, or a filename.")]
Anything = Annotated[str | None, typer.Argument(help="A version or filename; none: the project.")]
Act = Callable[[Index, NormalizedName], Awaitable[Done]]
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
    as_json: Json = False,
) -> None:
    """Yank a release or a file: installers take it only where it is pinned (PEP 592)."""

    async def act(index: Index, name: NormalizedName) -> Done:
        files = await _files(index, name, what)
        if undo:
            changed = await index.unyank(files, opening.operator())
            await _note("file.unyank", files)
        else:
            changed = await index.yank(files, reason, opening.operator())
            await _note("file.yank", files, reason)
        return asking.yanked(name, _shown(changed), undo)

    _run(project, act, url, username, lambda it: it.yank(what, reason, undo), as_json)


def delete(
    project: Project,
    what: Anything = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = "",
    username: User = "",
    as_json: Json = False,
) -> None:
    """Delete a project, a release or a file. Filenames stay taken for ever."""

    async def act(index: Index, name: NormalizedName) -> Done:
        if what is None:
            files = list((await index.project(name)).published)
            _confirm(f"Delete project {name} and its {len(files)} files?", yes)
            await index.delete_project(name, opening.operator())
            await opening.note("project.delete", f"project:{name}")
            gone = [replace(file, state=FileState.DELETED) for file in files]
            return asking.whole("project.delete", name, _shown(gone))
        files = await _files(index, name, what)
        _confirm(f"Delete {asking.named(_shown(files))}?", yes)
        gone = []
        for file in files:
            gone.append(await index.delete(file, opening.operator()))
            await _note("file.delete", [file])
        return asking.deleted(name, _shown(gone))

    def asked(it: asking.Asking) -> Done:
        return it.delete(what, lambda question: _confirm(question, yes))

    _run(project, act, url, username, asked, as_json)


def restore(
    project: Project,
    what: Anything = None,
    url: Url = "",
    username: User = "",
    as_json: Json = False,
) -> None:
    """Bring back a project, a release or a file that was deleted, while its bytes are kept."""

    async def act(index: Index, name: NormalizedName) -> Done:
        if what is None:
            whole = await index.restore_project(name, opening.operator())
            await opening.note("project.restore", f"project:{name}")
            return asking.whole("project.restore", name, _shown(whole.published))
        if asking.is_file_of(name, what):
            wanted = [what]
        else:
            wanted = [one.filename for one in to_restore(await index.present(name), what)]
        files = []
        for filename in wanted:
            files.append(await index.restore(name, filename, opening.operator()))
            await _note("file.restore", files[-1:])
        return asking.restored(name, _shown(files))

    _run(project, act, url, username, lambda it: it.restore(what), as_json)


def _run(
    project: str,
    act: Act,
    url: str,
    username: str,
    asked: Callable[[asking.Asking], Done],
    as_json: bool,
) -> None:
    async def run(name: NormalizedName) -> Done:
        async with opening.open_index() as index:
            if not await index.ready():
                raise errors.Misconfigured("The cache is not built; run 'pypicloud reindex' first.")
            return await act(index, name)

    with opening.one_line_errors():
        name = names.normalize(project)
        if username and not url:
            raise errors.Invalid("--username is for an index that --url names.")
        if url:
            done = asked(asking.Asking(client.opened(url, username), name))
        else:
            done = asyncio.run(run(name))
    tell(done, as_json)


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


def _shown(files: Sequence[File]) -> list[dict[str, Any]]:
    """The files as the API shows them."""
    settings = config.load()
    base = settings.public_url or settings.root_path
    return [FileDetail.of(file, base).model_dump(mode="json") for file in files]


def _confirm(question: str, yes: bool) -> None:
    """Asked on standard error; what was done stands on the other."""
    if not yes and not typer.confirm(question, err=True):
        raise typer.Abort

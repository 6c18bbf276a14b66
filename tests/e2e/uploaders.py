"""Six clients that upload, each called as its manual says; all send what ``Release.write`` made.

flit alone cannot send files that are there: it builds the same project from its sources.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.e2e.projects import EPOCH
from tests.e2e.sandbox import Finished, Sandbox
from tests.e2e.server import Account, Server

Uploader = Callable[[Sandbox, Path, Server, Account], Finished]


def twine(sandbox: Sandbox, folder: Path, server: Server, account: Account) -> Finished:
    """``twine upload``, credentials as options."""
    return sandbox.run(
        "twine",
        *("upload", "--disable-progress-bar", "--repository-url", server.legacy),
        *("--username", account.username, "--password", account.password),
        *files(folder),
    )


def uv(sandbox: Sandbox, folder: Path, server: Server, account: Account) -> Finished:
    """``uv publish``, credentials in its environment variables."""
    return sandbox.run(
        "uv",
        *("publish", "--trusted-publishing", "never", *files(folder)),
        UV_PUBLISH_URL=server.legacy,
        UV_PUBLISH_USERNAME=account.username,
        UV_PUBLISH_PASSWORD=account.password,
    )


def flit(sandbox: Sandbox, folder: Path, server: Server, account: Account) -> Finished:
    """``flit publish``, which builds a wheel and an sdist first."""
    return sandbox.run(
        "flit",
        "publish",
        cwd=folder,
        FLIT_INDEX_URL=server.legacy,
        FLIT_USERNAME=account.username,
        FLIT_PASSWORD=account.password,
        SOURCE_DATE_EPOCH=str(EPOCH),
    )


def hatch(sandbox: Sandbox, folder: Path, server: Server, account: Account) -> Finished:
    """``hatch publish``, which looks at ``UP/+simple/NAME/`` before it sends."""
    return sandbox.run(
        "hatch",
        *("publish", "--no-prompt", "--repo", server.legacy),
        *("--user", account.username, "--auth", account.password),
        cwd=folder,
    )


def poetry(sandbox: Sandbox, folder: Path, server: Server, account: Account) -> Finished:
    """``poetry publish`` to a named repository."""
    return sandbox.run(
        "poetry",
        *("publish", "--repository", "company"),
        *("--username", account.username, "--password", account.password),
        cwd=folder,
        POETRY_REPOSITORIES_COMPANY_URL=server.legacy,
    )


def pdm(sandbox: Sandbox, folder: Path, server: Server, account: Account) -> Finished:
    """``pdm publish`` of files that were built before."""
    return sandbox.run(
        "pdm",
        *("publish", "-vv", "--no-build", "--repository", server.legacy),
        cwd=folder,
        PDM_PUBLISH_USERNAME=account.username,
        PDM_PUBLISH_PASSWORD=account.password,
    )


UPLOADERS: dict[str, Uploader] = {
    "twine": twine,
    "uv": uv,
    "flit": flit,
    "hatch": hatch,
    "poetry": poetry,
    "pdm": pdm,
}


def files(folder: Path) -> list[str]:
    """The files to send, wheel first."""
    return sorted(str(path) for path in (folder / "dist").iterdir())

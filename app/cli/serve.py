"""``pypicloud serve``: the service under uvicorn, and what a newcomer needs to know first."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory
from typing import Annotated
from urllib.parse import quote, urlsplit

import typer
import uvicorn

from app import __version__, config, logs
from app.access.base import editable
from app.access.bootstrap import ADMIN, ensure_admin
from app.access.principals import EVERYONE
from app.cli import opening
from app.cli.loading import uncollected
from app.cli.workers import Workers
from app.config import Settings

KEEP_ALIVE = 30
"""Seconds that an idle connection is kept."""
CONNECTIONS = 2000
"""More connections to one worker than this are answered 503."""
GRACE = 30
"""Seconds that a stop waits for uploads and downloads under way."""
BACKLOG = 2048
NOT_STARTED = 3
SILENCE = 60
"""Seconds after which a worker that does not answer is killed: a busy machine may hold it up."""

_ANYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  # shown, not bound


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0: any free one.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that serve.")] = None,
) -> None:
    """Serve the index. The options stand for the settings of the same names."""
    # Through the environment, because each worker reads the settings anew.
    for field, value in (("host", host), ("port", port), ("workers", workers)):
        if value is not None:
            os.environ[config.variable(field)] = str(value)
    with opening.one_line_errors():
        settings = config.load()
        served = _config(settings)
        listening = served.bind_socket()
        password = asyncio.run(_admin(settings))
    bound: int = listening.getsockname()[1]
    typer.echo(banner(settings, bound, password))
    sys.stdout.flush()
    if settings.workers > 1:
        with _adding_up(settings):
            Workers(served, sockets=[listening]).run()
        return
    with uncollected():
        served.load()
    server = uvicorn.Server(served)
    with suppress(KeyboardInterrupt):  # it has stopped by then, gracefully
        server.run(sockets=[listening])
    if not server.started:
        raise typer.Exit(NOT_STARTED)


@contextmanager
def _adding_up(settings: Settings) -> Iterator[None]:
    """Give the workers a directory in which they add up what they count."""
    if settings.metrics.directory is not None:
        yield
        return
    with TemporaryDirectory(prefix="pypicloud-metrics-") as directory:
        os.environ[config.variable("metrics", "directory")] = directory
        yield


def banner(settings: Settings, port: int, password: str | None) -> str:
    """Where it is, the admin's new password if there is one, and three lines to paste."""
    url = _base(settings, port)
    lines = [f"PyPICloud {__version__} at {url}/"]
    if settings.docs:
        lines.append(f"The API is described at {url}/docs")
    if password is not None:
        lines.append(f"Admin: user {ADMIN}, password {password} (shown this once)")
    upload = f"twine upload --repository-url {url}/legacy/ -u {ADMIN}"
    if password is not None:
        upload += f" -p {password}"
    simple = _simple(settings, url, password)
    name = urlsplit(url).hostname or ""
    trusted = "" if url.startswith("https:") or _is_loopback(name) else f" --trusted-host {name}"
    lines += [
        "",
        "Upload, install with pip, install with uv (put your own for NAME and PASSWORD):",
        f"  {upload} dist/*",
        f"  pip install --index-url {simple}{trusted} NAME",
        f"  uv pip install --index {simple} NAME",
        "",
    ]
    return "\n".join(lines)


def _base(settings: Settings, port: int) -> str:
    if settings.public_url:
        return settings.public_url
    host = _ANYWHERE.get(settings.host, settings.host)
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"http://{host}:{port}{settings.root_path}"


def _simple(settings: Settings, url: str, password: str | None) -> str:
    """The index's URL, with credentials where reading needs them."""
    if EVERYONE in settings.default_read:
        return f"{url}/simple/"
    scheme, _, rest = url.partition("://")
    secret = quote(password, safe="") if password is not None else "PASSWORD"
    return f"{scheme}://{ADMIN}:{secret}@{rest}/simple/"


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


async def _admin(settings: Settings) -> str | None:
    """Before any worker starts, so that the password is made and shown once."""
    async with opening.read_access() as access:
        if not hasattr(access, "add_user"):
            return None  # its users are made elsewhere
        secret = settings.admin_password
        return await ensure_admin(editable(access), secret.get_secret_value() if secret else None)


def _config(settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        "app.main:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http="app.protocol:Protocol",
        ws="none",
        lifespan="on",
        log_config=logs.configuration(settings.log_level, settings.log_format),
        log_level=settings.log_level,
        # The guard reads forwarded headers, from whom the settings trust.
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
        timeout_worker_healthcheck=SILENCE,
        backlog=BACKLOG,
    )

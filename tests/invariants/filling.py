"""An index with something of everything, and all its pages."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from tests.factories import Made, make_sdist, make_wheel
from tests.invariants.crashes import REASON
from tests.invariants.server import JSON, Server, manage, upload

HTML = "application/vnd.pypi.simple.v1+html"
KEPT = ("content-type", "etag", "x-pypi-last-serial", "last-modified", "cache-control")
VERSIONS = ("0.9.dev1", "1.0rc1", "1.0", "1.0.post1", "1.0+local.2", "1!0.5", "2.0b3")
FLAGSHIP = "Demo.Pkg"
PROJECTS = (
    FLAGSHIP,
    "archived",
    "deprecated",
    "quarantined",
    "active-again",
    "gone",
    "claimed_anew",
    "restored",
    "plain",
)


@dataclass(frozen=True, slots=True)
class Page:
    """What an answer was, as far as it must not change."""

    status: int
    headers: tuple[str | None, ...]
    body: bytes


def fill(server: Server) -> None:
    """Upload, yank, delete, restore, and set statuses, by HTTP and by the command line."""
    for version in VERSIONS:
        publish(server, FLAGSHIP, version)
    publish(server, FLAGSHIP, "1.0", sdist=True)
    for project in PROJECTS[1:]:
        for version in ("1.0", "1.1"):
            publish(server, project, version)
    _yank(server)
    _delete(server)
    for project, status in (
        ("archived", "archived"),
        ("deprecated", "deprecated"),
        ("quarantined", "quarantined"),
        ("active-again", "quarantined"),
        ("active-again", "active"),
    ):
        ask(server, "PATCH", project, {"status": status, "reason": REASON})


def publish(server: Server, project: str, version: str, *, sdist: bool = False) -> Made:
    """Upload a distribution with facts of every kind."""
    make = make_sdist if sdist else make_wheel
    made = make(
        project,
        version,
        requires_python=">=3.8, <4",
        summary=f"Zusammenfassung von {project}: größer als €",
        description="Ein <b>langer</b> Text & “Zeichen” 二\n" * 20,
    )
    answer = upload(server, made, project, version)
    assert answer.status_code == 200, answer.text
    return made


def ask(server: Server, method: str, path: str, body: object = None) -> None:
    """A request to ``/api/v1/projects/…`` that succeeds."""
    answer = manage(server, method, f"projects/{path}", body)
    assert answer.is_success, (path, answer.status_code, answer.text)


def command(server: Server, *arguments: str) -> None:
    """A command that succeeds."""
    done = server.command(*arguments)
    assert done.returncode == 0, done.stderr


def _yank(server: Server) -> None:
    ask(server, "PATCH", "demo-pkg/releases/1.0rc1", {"yanked": True})
    ask(server, "PATCH", "demo-pkg/releases/1.0", {"yanked": "an earlier reason"})
    ask(server, "PATCH", "demo-pkg/releases/1.0", {"yanked": REASON})
    ask(server, "PATCH", "demo-pkg/releases/2.0b3", {"yanked": REASON})
    ask(server, "PATCH", "demo-pkg/releases/2.0b3", {"yanked": False})
    command(server, "yank", "demo.pkg", "1!0.5", "--reason", f'<script> & " {REASON}')


def _delete(server: Server) -> None:
    ask(server, "DELETE", "demo-pkg/files/demo_pkg-0.9.dev1-py3-none-any.whl")
    ask(server, "DELETE", "plain/files/plain-1.0-py3-none-any.whl")
    ask(server, "POST", "plain/files/plain-1.0-py3-none-any.whl/restore")
    command(server, "delete", "active_again", "1.1", "--yes")
    command(server, "delete", "gone", "--yes")
    ask(server, "DELETE", "claimed-anew")
    publish(server, "claimed_anew", "2.0")
    ask(server, "DELETE", "restored")
    command(server, "restore", "restored")


def pages(server: Server) -> dict[tuple[str, str], Page]:
    """Every page that there is, by path and by what was accepted."""
    wanted = [(path, accept) for path in _paths(server) for accept in (HTML, JSON, "*/*")]
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        found = {
            (path, accept): client.get(path, headers={"Accept": accept}) for path, accept in wanted
        }
    return {
        key: Page(
            answer.status_code, tuple(answer.headers.get(name) for name in KEPT), answer.content
        )
        for key, answer in found.items()
    }


def _paths(server: Server) -> list[str]:
    paths = ["/simple/", "/api/v1/projects?limit=1000"]
    for project in [name.lower().replace(".", "-").replace("_", "-") for name in PROJECTS]:
        paths += [f"/simple/{project}/", f"/pypi/{project}/json", f"/api/v1/projects/{project}"]
        versions = VERSIONS if project == "demo-pkg" else ("1.0", "1.1", "2.0")
        paths += [f"/pypi/{project}/{version}/json" for version in versions]
    return paths

"""The application as a whole: how it starts, what it says to whom, and how it fails."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.config import Settings
from app.main import create_app
from app.opening import prepare_spool
from tests.conftest import ADMIN
from tests.servers.s3_small import refusal, small_store
from tests.serving import Served, serving_ready

ROOT = Path(__file__).parent.parent
START = ("-m", "uvicorn", "--port", "0")


def basic(text: str) -> str:
    """An Authorization header for ``user:password``."""
    return f"Authorization: Basic {base64.b64encode(text.encode()).decode()}"


def run(where: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python to its end, in a directory and an environment of its own."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYPICLOUD_")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=where,
        env={**clean, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_importing_does_nothing(tmp_path: Path) -> None:
    """The application is made when it is asked for; no file appears and no setting is read."""
    script = "import app.main; print('app' in vars(app.main))"
    ran = run(tmp_path, "-c", script, PYPICLOUD_PORT="wrong")
    assert (ran.returncode, ran.stdout) == (0, "False\n"), ran.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", [("app.main:app",), ("--factory", "app.main:create_app")])
def test_plain_uvicorn_serves_it(tmp_path: Path, target: tuple[str, ...]) -> None:
    """Both spellings start, and stop when told."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYPICLOUD_")}
    process = subprocess.Popen(
        [sys.executable, *START, *target],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = ""
    while "Uvicorn running" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    process.terminate()
    said += process.communicate(timeout=30)[1]
    assert process.returncode in (0, -15), said
    assert "Traceback" not in said
    assert said.count("the password, shown once") == 1


def test_a_backend_that_cannot_work_is_one_line(tmp_path: Path) -> None:
    """The start ends with the reason, not with a traceback."""
    ran = run(tmp_path, *START, "app.main:app", PYPICLOUD_STORAGE="nowhere:x")
    assert ran.returncode != 0
    assert "pypicloud: No storage for the URL scheme 'nowhere'" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_store_that_refuses_is_one_line(tmp_path: Path) -> None:
    """Whichever of our errors ends the start, its text is all that is shown."""
    with small_store() as store:
        store.instead = lambda asked: refusal(429, "TooManyRequests")
        ran = run(
            tmp_path,
            *(*START, "app.main:app"),
            PYPICLOUD_STORAGE="s3://packages/index",
            PYPICLOUD_S3__ATTEMPTS="1",
            **{f"PYPICLOUD_S3__{key.upper()}": str(value) for key, value in store.options.items()},
        )
    assert ran.returncode != 0
    assert "pypicloud: The storage answers 429 TooManyRequests" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_spool_is_swept(tmp_path: Path) -> None:
    """What was left a day ago goes; what may be under way stays, and what is not ours.

    An archive that is looked into lies in a folder of its own.
    """
    spool = tmp_path / "a" / "spool"
    prepare_spool(spool)
    for name in ("upload-old", "upload-new", "other"):
        (spool / name).touch()
    for name in ("upload-opened", "upload-open"):
        (spool / name).mkdir()
        (spool / name / "demo-1.0.tar.gz").touch()
    yesterday = time.time() - 90_000
    for name in ("upload-old", "upload-opened", "other"):
        os.utime(spool / name, (yesterday, yesterday))
    prepare_spool(spool)
    assert {path.name for path in spool.iterdir()} == {"upload-new", "upload-open", "other"}


class TestCredentials:
    """Who is let in: RFC 7617, strictly."""

    def test_the_admin_of_the_settings_is_let_in(self, service: Served) -> None:
        """The scheme's name has no case."""
        header = basic(":".join(ADMIN))
        for sent in (header, header.replace("Basic", "bAsIc")):
            assert service.ask("/simple/", sent).status == 200

    @pytest.mark.parametrize(
        "header",
        [
            "Authorization: Basic",
            "Authorization: Basic ?",
            "Authorization: Basic YWRtaW4",
            "Authorization: Basic YTpi=",
            f"Authorization: Basic {base64.b64encode(b'admin').decode()}",
            f"Authorization: Basic {base64.b64encode(bytes([255, 58, 255])).decode()}",
            basic("admin:correct\0horse"),
            basic("admin:some other words"),
            basic("nobody:correct horse battery"),
            "Authorization: Digest username=admin",
        ],
    )
    def test_upl_16_aut_5_wrong_credentials_are_401(self, service: Served, header: str) -> None:
        """Unreadable, unknown and wrong are one answer, with the challenge."""
        answer = service.ask("/simple/", header)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Basic realm="pypicloud", charset="UTF-8"'
        assert json.loads(answer.body)["message"] == "Invalid or missing credentials."

    def test_two_authorizations_are_none(self, service: Served) -> None:
        """Which of them counts is nobody's guess."""
        header = basic(":".join(ADMIN))
        assert service.ask("/simple/", header, header).status == 400

    def test_a_hidden_project_and_none_at_all_look_alike(self, service: Served) -> None:
        """Who may not read is told the same of both."""
        hidden, none = (service.ask(f"/simple/{name}/") for name in ("hidden", "nothing"))
        assert (hidden.status, hidden.body) == (none.status, none.body) == (401, none.body)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One service, which everyone may read, for all tests of errors."""
    folder = tmp_path_factory.mktemp("errors")
    settings = Settings(
        storage="memory:",
        cache="memory:",
        access=f"sqlite+aiosqlite:///{folder}/access.db",
        spool=folder / "spool",
        default_read=frozenset({"everyone"}),
        inspectors=1,
    )
    with serving_ready(create_app(settings)) as served:
        yield served


class TestErrors:
    """What every door says when something is wrong."""

    @pytest.mark.parametrize(
        ("method", "target", "status"),
        [
            ("GET", "/nowhere", 404),
            ("GET", "/simple/nothing/", 404),
            ("GET", "/files/nothing/nothing-1.0.tar.gz", 404),
            ("GET", "/api/v1/projects?limit=secret", 400),
            ("PATCH", "/api/v1/projects/nothing", 401),
            ("DELETE", "/simple/", 405),
            ("GET", "/simple/..", 400),
        ],
    )
    def test_one_shape_for_all(self, whole: Served, method: str, target: str, status: int) -> None:
        """Code and message as JSON, not to be kept, nothing of the request in it."""
        answer = whole.ask(target, method=method)
        assert answer.status == status
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        shape = json.loads(answer.body)
        assert shape["code"].startswith(f"{status} ")
        assert answer.reason == shape["message"][:200]
        assert b"secret" not in answer.body

    def test_a_slash_too_few_is_no_redirect_to_the_hosts_name(self, whole: Served) -> None:
        """Whatever Host a client names, no link and no redirect contains it."""
        for target in ("/simple", "/simple/Nothing", "/docs/", "/legacy", "/api/v1"):
            answer = whole.ask(target, "Host: evil.example")
            assert "evil" not in repr(answer)

    def test_input_is_not_echoed(self, whole: Served) -> None:
        """A wrong body is described by its place, not repeated."""
        body = b'{"status": "hunter2", "hunter3": 1}'
        answer = whole.ask(
            "/api/v1/projects/nothing",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            method="PATCH",
            body=body,
        )
        assert answer.status in (400, 401)
        assert b"hunter" not in answer.body

"""SIGHUP: settings read anew by ``pypicloud serve``, under load, by one process and by several."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from app import config
from app.reloading import APPLIED
from tests.factories import form, make_wheel
from tests.processes import PASSWORD, Running, running

pytestmark = pytest.mark.slow

ADMIN = ("admin", PASSWORD)
PATIENCE = 60.0
SECRET = "metrics-token-that-nobody-logs"


def write(folder: Path, text: str) -> None:
    """The settings' file."""
    (folder / "pypicloud.toml").write_text(text)


@contextmanager
def served(folder: Path, text: str, **variables: str) -> Iterator[Running]:
    """A service with settings from a file."""
    write(folder, text)
    named = str(folder / "pypicloud.toml")
    with running(folder, CONFIG=named, RECONCILE_INTERVAL="1 h", **variables) as service:
        yield service


def ask(service: Running, text: str) -> None:
    """Change the file, and say so."""
    write(service.folder, text)
    os.kill(service.process.pid, signal.SIGHUP)


def until(service: Running, holds: Callable[[str], bool]) -> str:
    """The log, once this holds of it."""
    deadline = time.monotonic() + PATIENCE
    while not holds(service.log):
        assert time.monotonic() < deadline, service.log
        assert service.process.poll() is None, service.log
        time.sleep(0.05)
    return service.log


@dataclass
class Load:
    """Requests without a pause, and what went wrong with them."""

    url: str
    done: int = 0
    failures: list[str] = field(default_factory=list)

    def more(self) -> None:
        """Return once some more requests were answered."""
        wanted, deadline = self.done + 12, time.monotonic() + PATIENCE
        while self.done < wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        assert self.done >= wanted

    def run(self, over: threading.Event) -> None:
        """Ask until it is over."""
        with httpx.Client(base_url=self.url, trust_env=False, timeout=60) as client:
            while not over.is_set():
                for path in ("/simple/", "/simple/reloaded/", "/pypi/reloaded/json"):
                    try:
                        status = client.get(path).status_code
                    except httpx.HTTPError as error:
                        self.failures.append(f"{path}: {error!r}")
                    else:
                        self.done += 1
                        if status != 200:
                            self.failures.append(f"{path}: {status}")


@contextmanager
def loaded(service: Running) -> Iterator[Load]:
    """Under load while the block runs, and before and after; no request may fail."""
    load, over = Load(service.url), threading.Event()
    threads = [threading.Thread(target=load.run, args=(over,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        load.more()
        yield load
        load.more()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert load.failures == []


def upload(service: Running, version: str) -> int:
    """The status of an upload."""
    made = make_wheel("reloaded", version)
    return httpx.post(
        f"{service.url}/legacy/",
        data=form(made, "reloaded", version),
        files={"content": made},
        auth=ADMIN,
        trust_env=False,
        timeout=60,
    ).status_code


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    """One process with a project to read."""
    with served(tmp_path, 'log_level = "info"\n') as service:
        assert upload(service, "1.0") == 200
        yield service


def test_what_may_change_changes_under_load(service: Running) -> None:
    """The form of the log, limits, who reads metrics: from one request to the next."""
    assert httpx.get(f"{service.url}/metrics", trust_env=False).status_code == 401
    with loaded(service):
        ask(
            service,
            'log_format = "json"\nlimits = {uploads = 2}\n'
            f'metrics = {{access = "open", token = "{SECRET}"}}\n',
        )
        log = until(service, lambda log: "settings read anew" in log)
    (line,) = [line for line in log.splitlines() if "settings read anew" in line]
    told = json.loads(line)["message"]
    for name in ("LOG_FORMAT", "LIMITS__UPLOADS", "METRICS__ACCESS", "METRICS__TOKEN"):
        assert f"PYPICLOUD_{name}" in told
    assert SECRET not in service.log
    assert json.loads(service.log.splitlines()[-1])["path"].startswith(("/simple/", "/pypi/"))
    assert httpx.get(f"{service.url}/metrics", trust_env=False).status_code == 200
    assert [upload(service, version) for version in ("1.1", "1.2", "1.3")][-1] == 429


def test_what_needs_a_restart_is_named_and_does_not_change(service: Running) -> None:
    """By its variable, without its value; what else changed applies all the same."""
    ask(
        service,
        'cache = "redis://:hidden-word@127.0.0.1:1/0"\nstorage = "memory:"\n'
        'log_level = "warning"\n',
    )
    log = until(service, lambda log: "needs a restart" in log)
    (line,) = [line for line in log.splitlines() if "needs a restart" in line]
    assert line.startswith("WARNING")
    assert "PYPICLOUD_STORAGE, PYPICLOUD_CACHE" in line
    assert "LOG_LEVEL" not in line
    assert "hidden-word" not in log
    assert httpx.get(f"{service.url}/simple/reloaded/", trust_env=False).status_code == 200
    assert upload(service, "1.1") == 200
    assert service.log.splitlines()[-1] == line  # accesses are not logged at this level


@pytest.mark.parametrize(
    "broken",
    ['log_level = "loud"\n', "no TOML [[[", 'log_levle = "info"\n', "limits = {uploads = -1}\n"],
    ids=["value", "syntax", "name", "range"],
)
def test_broken_settings_leave_the_old_ones(service: Running, broken: str) -> None:
    """One line says what is wrong; the next good ones apply."""
    with loaded(service):
        ask(service, broken)
        log = until(service, lambda log: "cannot be read anew" in log)
    assert log.count("cannot be read anew") == 1
    assert upload(service, "1.1") == 200
    ask(service, 'log_level = "warning"\n')
    assert httpx.get(f"{service.url}/simple/reloaded/", trust_env=False).status_code == 200
    time.sleep(1)  # nothing is said at this level; the process is there
    assert service.process.poll() is None


def test_nothing_changed_is_said(service: Running) -> None:
    """However often it is asked for, the process goes on."""
    for _ in range(20):
        os.kill(service.process.pid, signal.SIGHUP)
    until(service, lambda log: "settings read anew: nothing to change" in log)
    assert upload(service, "1.1") == 200


@pytest.mark.timeout(300)
def test_all_workers_follow_and_none_is_restarted(tmp_path: Path) -> None:
    """Each says so with its own process id; no request fails."""
    with served(tmp_path, 'log_format = "json"\n', WORKERS="2") as service:
        assert upload(service, "1.0") == 200
        with loaded(service):
            ask(service, 'log_format = "json"\nlimits = {uploads = 1}\nworkers = 3\n')
            log = until(service, lambda log: log.count("settings read anew") == 2)
        lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        heard = {line["process"] for line in lines if "settings read anew" in line["message"]}
        started = {line["process"] for line in lines if "Started server" in line["message"]}
        assert len(heard) == 2
        assert heard == started
        assert "died" not in service.log


def test_the_manual_names_what_applies() -> None:
    """Every setting that applies without a restart stands in the list, and no other."""
    page = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text()
    listed = page.partition("## Changing settings while it runs")[2].partition("\n## ")[0]
    for path in APPLIED:
        group = f"PYPICLOUD_{path[0].upper()}__…"
        assert f"`{config.variable(*path)}`" in listed or f"`{group}`" in listed, path
    assert set(config.fields()) >= APPLIED

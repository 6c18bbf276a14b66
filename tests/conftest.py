"""What every test has: no blocking call in the event loop, and a service to ask."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from pydantic import SecretStr

from app.config import Settings
from tests import canary
from tests.servers import running
from tests.serving import Served, serving_ready

ADMIN = ("admin", "correct horse battery")
"""The admin of ``service``: name and password."""


def pytest_configure(config: pytest.Config) -> None:
    """Open the run of the shared servers, where this is not a worker of one."""
    logging.getLogger().addHandler(canary.Handler())
    if not hasattr(config, "workerinput"):
        running.begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End them, where this began them."""
    if not hasattr(config, "workerinput"):
        running.end()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures that tests recorded, whichever process they ran in."""
    for report in terminalreporter.stats.get("passed", ()):
        for name, text in report.user_properties:
            if name == "figures":
                terminalreporter.write_line(text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Fail any test in whose event loop ``app`` does blocking I/O, or that shows a secret."""
    with blockbuster_ctx("app", excluded_modules=["app.testing"]) as guard:
        # Opening an SQLite engine asks for the working directory: no I/O worth a thread.
        guard.functions["os.path.abspath"].deactivate()
        for function in guard.functions.values():
            # A command reads its settings and finds its backends before it does anything.
            function.can_block_in("app/config.py", "load")
            function.can_block_in("app/plugins.py", "backend")
            # asyncpg looks for .pgpass and certificates whenever it connects.
            function.can_block_in("asyncpg/connect_utils.py", "_parse_connect_arguments")
            # The SDK makes its clients in a thread, with an event loop that nobody else has.
            function.can_block_in("app/aws.py", "made_in_thread")
            function.can_block_in("app/aws.py", "renewed_in_thread")
        outcome = yield
    canary.CANARY.raise_leaks()
    return outcome


@pytest.fixture(scope="session", autouse=True)
def no_secret_stays_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fails the run for a token in a log, an export or a database that any of its tests left."""
    yield
    leaks = list(canary.left_behind(tmp_path_factory.getbasetemp()))
    assert not leaks, "\n".join(leaks)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings on memory and folders of the test's own, not the environment's."""
    return Settings(
        storage="memory:",
        cache="memory:",
        access=f"sqlite+aiosqlite:///{tmp_path}/access.db",
        spool=tmp_path / "spool",
        admin_password=SecretStr(ADMIN[1]),
        inspectors=1,
    )


@pytest.fixture
def service(settings: Settings) -> Iterator[Served]:
    """The whole service, as ``pypicloud serve`` runs it, on a free port."""
    from app.main import create_app  # what tests of one room need not wait for

    with serving_ready(create_app(settings)) as served:
        yield served

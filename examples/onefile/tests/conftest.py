"""Nothing may block the event loop while a test runs: a service has one for all its requests."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from blockbuster import blockbuster_ctx


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Fail any test in whose event loop a backend does blocking I/O."""
    with blockbuster_ctx("pypicloud_onefile"):
        return (yield)

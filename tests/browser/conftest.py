"""A browser, and a service with something in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import Visitor, launched, visiting
from tests.browser.demo import demo
from tests.serving import Served


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser for the tests of a module."""
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The demo, which the tests of a module look at and do not change for each other."""
    with demo(tmp_path_factory.mktemp("demo")) as served:
        yield served


@pytest.fixture
def visitor(chromium: Browser, shop: Served) -> Iterator[Visitor]:
    """Somebody at the demo."""
    with visiting(chromium, shop.url) as found:
        yield found

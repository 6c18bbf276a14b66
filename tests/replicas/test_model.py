"""The model refuses what cannot be: otherwise the chaos would prove nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from tests.replicas import model
from tests.replicas.caches import SharedCache
from tests.replicas.fleet import LAG, Fleet, Outage
from tests.replicas.model import Deed, Model

NAME = "demo-1.0-py3-none-any.whl"
ALL = ("p", NAME)
Page = Mapping[str, tuple[str, str | None]]
SHOWN: Page = {NAME: ("ours", None)}
YANKED: Page = {NAME: ("ours", "bad")}


class History:
    """Requests one after the other, each sent at an odd second and answered at the next."""

    def __init__(self) -> None:
        self.model = Model()
        self.now = 0

    def asked(self, deed: Deed, status: int) -> str | None:
        """What is wrong with this answer."""
        before = self.model.sent(*ALL, deed, self.now + 1)
        self.now += 2
        return self.model.answered(*ALL, deed, status, self.now, before)

    def page(self, page: Page, *, lag: float = 0) -> str | None:
        """What is wrong with a page that was read just now."""
        return self.model.wrong_page("p", page, self.now + 0.5 - lag, self.now + 0.6)


@pytest.fixture
def history() -> History:
    """A file that was uploaded."""
    found = History()
    assert found.asked(model.upload("ours"), 200) is None
    return found


def test_what_was_answered_must_be_shown(history: History) -> None:
    """At once without a lag; within it the page before will do, and nothing else."""
    assert history.page(SHOWN) is None
    assert history.page({})
    assert history.page({NAME: ("others", None)})
    assert history.asked(model.yank("bad"), 200) is None
    assert history.page(YANKED) is None
    assert history.page(SHOWN)
    assert history.page(SHOWN, lag=1) is None
    assert history.page({}, lag=1)


@pytest.mark.parametrize("status", [0, 503])
def test_what_was_not_answered_may_be_either(history: History, status: int) -> None:
    """Until a later answer tells."""
    assert history.asked(model.yank("bad"), status) is None
    assert history.page(SHOWN) is None
    assert history.page(YANKED) is None
    assert history.page({NAME: ("ours", "worse")})
    assert history.asked(model.yank("bad"), 200) is None
    assert history.page(SHOWN)
    assert history.page(YANKED) is None


@pytest.mark.parametrize(
    ("deed", "status"),
    [
        (model.yank("bad"), 404),
        (model.delete, 404),
        (model.restore, 404),
        (model.upload("ours"), 400),
        (model.upload("others"), 200),
    ],
)
def test_answers_must_have_a_reason(history: History, deed: Deed, status: int) -> None:
    """A file that is there is found, and other bytes do not replace it."""
    assert history.asked(deed, status)


def test_refusals_change_nothing(history: History) -> None:
    """Of other bytes, and of what was deleted."""
    assert history.asked(model.upload("others"), 400) is None
    assert history.page(SHOWN) is None
    assert history.asked(model.delete, 204) is None
    assert history.page(SHOWN)
    assert history.asked(model.upload("ours"), 400) is None
    assert history.asked(model.restore, 200) is None
    assert history.page(SHOWN) is None


@pytest.mark.parametrize("once", [True, False])
def test_a_proxy_may_ask_twice(history: History, once: bool) -> None:
    """Then the answer may be that to the second time; a replica itself is asked once."""
    before = history.model.sent(*ALL, model.delete, 3, once=once)
    wrong = history.model.answered(*ALL, model.delete, 404, 4, before)
    assert (wrong is not None) == once


def test_nothing_is_invented(history: History) -> None:
    """A file that nobody uploaded is on no page."""
    assert history.page({**SHOWN, "other-1.0.tar.gz": ("x", None)})


def test_a_project_is_there_once_an_upload_was_answered(history: History) -> None:
    """Not before, and also when all of it was deleted."""
    assert history.model.surely_there(1.5) == set()
    assert history.model.surely_there(2.0) == {"p"}
    assert history.asked(model.delete, 204) is None
    assert history.model.surely_there(history.now) == {"p"}
    assert not history.model.surely_listed(*ALL, 2.0, history.now)
    assert history.model.surely_listed(*ALL, 2.0, 2.5)


def test_a_page_is_no_older_than_the_lag_or_the_outage() -> None:
    """While the cache is away, and until all replicas are well again, no longer."""
    found = Fleet(cast(SharedCache, None), [], "https://front.example")
    assert found.oldest(100.0) == 100.0 - LAG
    found._outages.append(Outage(50.0, 60.0))
    found._outages.append(Outage(90.0))
    assert found.oldest(49.0) == 49.0 - LAG
    assert found.oldest(55.0) == 50.0 - LAG
    assert found.oldest(61.0) == 61.0 - LAG
    assert found.oldest(100.0) == 90.0 - LAG

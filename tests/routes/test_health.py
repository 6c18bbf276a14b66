"""Liveness and readiness."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from app import answers, errors
from app.life import Life
from app.routes import health
from tests.serving import Served, serving


def test_a_service_that_runs_is_live_and_ready(service: Served) -> None:
    """Each part has a word."""
    live = service.ask("/health/live")
    assert (live.status, json.loads(live.body)) == (200, {"status": "ok"})
    for target in ("/health/ready", "/health"):
        ready = service.ask(target)
        assert ready.status == 200
        parts = {"storage": "ok", "cache": "ok", "access": "ok", "index": "ok"}
        assert json.loads(ready.body) == {"status": "ok", "parts": parts}
        assert ready.headers["cache-control"] == "no-store"


class Parts:
    """Parts of a service that work or do not, as a test says."""

    def __init__(self) -> None:
        self.life = Life()

    broken = ""
    built = True
    serves_stale = False
    age = timedelta(seconds=12.34)
    stale_limit = timedelta(minutes=10)

    @property
    def locations(self) -> Parts:
        """Stands for where clients fetch files."""
        return self

    away = False

    async def ready(self) -> bool:
        """Stands for the index."""
        self.check("index")
        return self.built

    async def storage(self) -> None:
        """Stands for the storage."""
        self.check("storage")

    async def cache(self) -> None:
        """Stands for the cache."""
        self.check("cache")

    def check(self, name: str) -> None:
        """Fail if this is the broken part."""
        if name == self.broken:
            raise errors.CacheUnavailable("the disk at 10.0.0.1 is on fire")


@pytest.fixture
def parts() -> Parts:
    """All of them work."""
    return Parts()


@pytest.fixture
def probed(parts: Parts) -> Iterator[Served]:
    """The health routes over these parts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, object]]:
        yield {
            "index": parts,
            "probes": {"storage": parts.storage, "cache": parts.cache},
            "life": parts.life,
        }

    app = FastAPI(lifespan=lifespan, exception_handlers=dict(answers.HANDLERS))
    app.include_router(health.router)
    with serving(app) as served:
        yield served


@pytest.mark.parametrize("broken", ["storage", "cache", "index"])
def test_a_part_that_does_not_answer_is_named(probed: Served, parts: Parts, broken: str) -> None:
    """Readiness is 503 and says which part; liveness does not ask it."""
    parts.broken = broken
    answer = probed.ask("/health/ready")
    assert answer.status == 503
    assert answer.headers["retry-after"] == "2"
    found = json.loads(answer.body)
    assert found["status"] == "unavailable"
    assert [name for name, word in found["parts"].items() if word != "ok"] == [broken]
    assert b"10.0.0.1" not in answer.body
    assert probed.ask("/health/live").status == 200


def test_a_cache_that_does_not_answer_leaves_a_service_that_knows_enough(
    probed: Served, parts: Parts
) -> None:
    """As long as known projects are served, balancers go on; it says how old they may be."""
    parts.broken, parts.serves_stale = "cache", True
    answer = probed.ask("/health/ready")
    assert answer.status == 200
    found = json.loads(answer.body)
    assert (found["status"], found["parts"]["cache"]) == ("stale", "stale")
    assert found["stale"] == {"age": 12.3, "limit": 600}
    parts.broken = "storage"
    assert probed.ask("/health/ready").status == 503


def test_a_store_that_clients_ask_themselves_is_not_needed_for_pages(
    probed: Served, parts: Parts
) -> None:
    """Else a store that is slow for us took every replica from its balancer."""
    parts.broken, parts.away = "storage", True
    answer = probed.ask("/health/ready")
    assert answer.status == 200
    found = json.loads(answer.body)
    assert (found["status"], found["parts"]["storage"]) == ("stale", "stale")
    parts.away = False
    assert probed.ask("/health/ready").status == 503


def test_an_index_that_was_never_built_is_not_ready(probed: Served, parts: Parts) -> None:
    """Half an index is none."""
    parts.built = False
    answer = probed.ask("/health/ready")
    assert answer.status == 503
    assert json.loads(answer.body)["status"] == "building"


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health"])
def test_url_6_balancers_may_ask_by_head(service: Served, path: str) -> None:
    """HEAD answers as GET does, without a body."""
    answer = httpx.head(service.url + path)
    assert (answer.status_code, answer.content) == (200, b"")

"""The start page."""

from __future__ import annotations

import httpx
import pytest

from app.config import Settings
from app.main import create_app
from tests.conftest import ADMIN
from tests.serving import serving_ready


def page(settings: Settings, method: str = "GET") -> httpx.Response:
    """What ``/`` answers."""
    with serving_ready(create_app(settings)) as served:
        return httpx.request(method, served.url + "/")


class TestHome:
    """``/``."""

    def test_names_the_public_url(self, settings: Settings) -> None:
        """With a public URL the commands name it, whatever Host a client sends."""
        public = settings.model_copy(update={"public_url": "https://pkg.example/py"})
        with serving_ready(create_app(public)) as served:
            answer = httpx.get(served.url + "/", headers={"Host": "pkg.example"})
        assert "pip install --index-url https://pkg.example/py/simple/ NAME" in answer.text
        assert answer.headers["content-type"] == "text/html; charset=utf-8"

    def test_names_no_address_it_does_not_know(self, settings: Settings) -> None:
        """Listening everywhere without a public URL, it shows links and no commands."""
        answer = page(settings.model_copy(update={"host": "0.0.0.0"}))
        assert 'href="/simple/"' in answer.text
        assert "pip install" not in answer.text

    def test_leads_to_the_login_or_the_account(self, settings: Settings) -> None:
        """Whoever is logged in nowhere is shown where to; others where they are; each alone."""
        with (
            serving_ready(create_app(settings)) as served,
            httpx.Client(base_url=served.url, timeout=60) as browser,
        ):
            answer = browser.get("/")
            assert 'href="/login?next=' in answer.text
            assert 'href="/account"' not in answer.text
            assert answer.headers["cache-control"] == "private, no-cache"
            assert "cookie" in answer.headers["vary"].lower()
            who = {"username": ADMIN[0], "password": ADMIN[1]}
            browser.post("/login", data=who, headers={"Origin": served.url})
            assert 'href="/account"' in browser.get("/").text
            assert 'href="/login' not in browser.get("/").text
            elsewhere = browser.get("/", headers={"Host": "pypi.example"})
            assert "/login" not in elsewhere.text

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_answers(self, settings: Settings, method: str) -> None:
        """GET and HEAD answer alike, HEAD without a body."""
        answer = page(settings, method)
        assert answer.status_code == 200
        assert bool(answer.content) is (method == "GET")

"""The page that describes the API, all of it from here."""

from __future__ import annotations

import json
import re

import pytest

from app.config import Settings
from app.main import create_app
from app.routes.docs import ASSETS, STATIC
from tests.routes import reference
from tests.serving import Served, serving_ready


def test_the_page_asks_nobody_else(service: Served) -> None:
    """Every link of the page is relative, answers, and is allowed by its policy."""
    page = service.ask("/docs")
    assert page.status == 200
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    links = re.findall(r'(?:src|href)="([^"]*)"', page.body.decode())
    assert len(links) == 5
    for link in links:
        assert re.fullmatch(r"[a-z0-9./-]+", link), link
        assert service.ask(f"/{link}").status == 200
    assert "<style" not in page.body.decode()
    assert not re.search(rb"<script(?! src=)", page.body)


@pytest.mark.parametrize("asset", ["", "README.md", "..%2e", "docs.html", "LICENSE"])
def test_nothing_else_is_served_from_there(service: Served, asset: str) -> None:
    """Only the files that the page needs."""
    assert service.ask(f"/docs/{asset}").status in (400, 404)


def test_the_licence_of_what_is_not_ours_lies_beside_it() -> None:
    """Swagger UI comes with its licence and notice."""
    assert "Apache License" in (STATIC / "swagger" / "LICENSE").read_text()
    assert (STATIC / "swagger" / "NOTICE").is_file()
    assert all(path.is_file() for path, _ in ASSETS.values())


def test_the_description_says_how_to_authenticate(service: Served) -> None:
    """OpenAPI names Basic authentication and tokens, and that some things need none."""
    description = json.loads(service.ask("/openapi.json").body)
    assert description["security"] == [{"basic": []}, {"token": []}, {}]
    assert description["components"]["securitySchemes"]["basic"]["scheme"] == "basic"


def test_both_can_be_turned_off(settings: Settings) -> None:
    """Without docs there is neither page nor description."""
    with serving_ready(create_app(settings.model_copy(update={"docs": False}))) as served:
        assert served.ask("/docs").status == 404
        assert served.ask("/openapi.json").status == 404


def test_the_manual_of_the_api_is_up_to_date() -> None:
    """``docs/http-api.md`` is what ``python -m tests.routes.reference`` writes."""
    assert reference.MANUAL.read_text() == reference.manual()


def test_the_manual_of_the_api_has_every_request(service: Served) -> None:
    """Whatever the running service describes stands there, and all that it sends or answers."""
    described = json.loads(service.ask("/openapi.json").body)
    written = reference.MANUAL.read_text()
    for path, operations in described["paths"].items():
        for method in operations:
            assert f"\n    {method.upper()} {path}\n" in written
    for name in described["components"]["schemas"]:
        assert f"\n### {name}\n" in written

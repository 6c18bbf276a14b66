"""Credentials that nobody can read."""

from __future__ import annotations

import pytest

from tests.conformance.site import Site

DOORS = ("/simple/", "/simple/absent/", "/files/absent/absent-1.0.tar.gz", "/pypi/absent/json",
         "/api/v1/projects")  # fmt: skip


@pytest.mark.parametrize(
    "value", ["Basic \u00e9", "Basic YTpi\u00e9", "Basic \u00ff\u00ff\u00ff\u00ff"]
)
def test_aut_5_credentials_beyond_ascii(site: Site, value: str) -> None:
    """Bytes that are no base64 are wrong credentials, 401 (or 400), at every door."""
    for door in DOORS:
        assert site.get(door, {"Authorization": value}).status in (400, 401), door
    assert site.ask("POST", "/legacy/", {"Authorization": value}, b"").status in (400, 401)

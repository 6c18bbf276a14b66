"""Rules on what upstreams send: decided in one place, heeded at every door."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from packaging.utils import NormalizedName

from app.models import Kind
from app.upstream.entries import Entry
from app.upstream.options import RuleOptions
from app.upstream.rules import Rules
from app.upstream.specs import spec
from tests.servers.upstream import Upstream
from tests.upstream.conftest import Start
from tests.upstream.sites import fetched, listed

NOW = datetime(2026, 1, 10, tzinfo=UTC)
SHA = "ab" * 32
NAME = NormalizedName("demo")


def entry(**more: Any) -> Entry:
    """A wheel of demo 1.5 that is two days old."""
    facts: dict[str, Any] = {
        "filename": "demo-1.5-py3-none-any.whl",
        "url": "https://upstream.example/demo-1.5-py3-none-any.whl",
        "version": "1.5",
        "kind": Kind.WHEEL,
        "hashes": {"sha256": SHA},
        "upload_time": NOW - timedelta(days=2),
    }
    return Entry(**(facts | more))


def ruled(file: Entry, **rules: Any) -> str | None:
    """The rule that keeps the file back."""
    refusal = Rules.of(RuleOptions(**rules)).decide(NAME, file, now=NOW)
    return refusal.rule if refusal else None


@pytest.mark.parametrize(
    ("text", "covers"),
    [
        ("demo", True),
        ("Demo", True),
        ("de*", True),
        ("*", True),
        ("demo>=1,<2", True),
        ("demo==1.5", True),
        ("demo >=2", False),
        ("other", False),
        ("demo-1.5-py3-none-any.whl", True),
        ("demo-1.5.tar.gz", False),
        (f"sha256:{SHA.upper()}", True),
        (f"sha256:{'00' * 32}", False),
    ],
)
def test_what_a_rule_is_about(text: str, covers: bool) -> None:
    """Names, patterns, versions as PEP 508 writes them, filenames, hashes."""
    assert spec(text).covers(NAME, entry()) is covers


@pytest.mark.parametrize("text", ["", "demo>=x", "sha256:12", "md5:12", "de mo", "demo @ x"])
def test_a_rule_that_says_nothing_is_refused(text: str) -> None:
    """At the start, not when it would have mattered."""
    with pytest.raises(ValueError, match=r"write|specifiers"):
        spec(text)


@pytest.mark.parametrize(
    ("file", "rules", "rule"),
    [
        (entry(), {}, None),
        (entry(), {"deny": "demo<1; demo==1.5"}, "deny"),
        (entry(), {"allow": "other"}, "allow"),
        (entry(), {"allow": "demo"}, None),
        (entry(), {"allow": "demo", "quarantine": f"sha256:{SHA}"}, "quarantine"),
        (entry(), {"minimum_age": "3 d"}, "minimum_age"),
        (entry(), {"minimum_age": "1 d"}, None),
        (entry(), {"minimum_age": "3 d", "no_minimum_age": "de*"}, None),
        (entry(upload_time=None), {"minimum_age": "1 s"}, "minimum_age"),
        (entry(upload_time=None), {}, None),
        (entry(upload_time=NOW + timedelta(days=9)), {"minimum_age": "1 s"}, "minimum_age"),
        (
            entry(upload_time=datetime.max.replace(tzinfo=UTC)),
            {"minimum_age": "9 d"},
            "minimum_age",
        ),
        (entry(), {"only_wheels": "*"}, None),
        (entry(kind=Kind.SDIST), {"only_wheels": "*"}, "only_wheels"),
        (entry(), {"minimum_age": "1 d", "minimum_ages": "de* = 3 d"}, "minimum_age"),
        (entry(), {"minimum_age": "3 d", "minimum_ages": "demo>=2 = 9 d; demo=1 d"}, None),
        (entry(), {"minimum_ages": "demo>=1.5=3 d; demo=1 d"}, "minimum_age"),
        (entry(), {"only_attested": "demo"}, "only_attested"),
        (entry(provenance="https://x.example/"), {"only_attested": "demo"}, None),
    ],
)
def test_which_rule_keeps_a_file_back(file: Entry, rules: dict[str, Any], rule: str | None) -> None:
    """Fail closed where a fact is missing that a rule needs."""
    assert ruled(file, **rules) == rule


@pytest.mark.parametrize("text", ["demo", "demo = soon", "= 3 d"])
def test_an_age_that_says_nothing_is_refused(text: str) -> None:
    """At the start, too."""
    with pytest.raises(ValueError, match="write"):
        RuleOptions(minimum_ages=(text,))


def test_an_upstream_has_rules_of_its_own(upstream: Upstream, start: Start) -> None:
    """They hold beside those of all, for what comes from it."""
    made = upstream.has("demo")
    upstream.has("demo", "2.0")
    upstream.has("demo", "3.0")
    one = {"name": "inner", "url": upstream.simple, "rules": {"deny": "demo==2.0"}}
    site = start("none", upstream="", upstreams=(one,), rules={"quarantine": "demo>2"})
    assert set(listed(site, "demo")) == {made.filename}
    refused = site.ask("GET", "/files/demo/demo-2.0-py3-none-any.whl")
    assert (refused.status_code, "'deny'" in refused.json()["message"]) == (403, True)


def test_a_rule_holds_at_every_door_and_for_what_is_kept(upstream: Upstream, start: Start) -> None:
    """Page, file, range, HEAD and core metadata; the answer says which rule it is."""
    made = upstream.has("demo")
    new = upstream.has("demo", "2.0", listed=datetime.now(UTC).isoformat())
    site = start("cache")
    for one in (made, new):
        fetched(site, "demo", one)
        assert site.ask("GET", f"/files/demo/{one.filename}.metadata").status_code == 200
    site = start("cache", rules={"minimum_age": "3 d"})
    assert set(listed(site, "demo")) == {made.filename}
    fetched(site, "demo", made)
    path = f"/files/demo/{new.filename}"
    for method, url, headers in (
        ("GET", path, {}),
        ("HEAD", path, {}),
        ("GET", path, {"Range": "bytes=0-9"}),
        ("GET", f"{path}.metadata", {}),
        ("GET", f"/files/demo/at/upstream/x/{new.filename}", {}),
    ):
        answer = site.ask(method, url, headers=headers)
        assert answer.status_code == 403, (method, url)
    page = site.ask("GET", "/pypi/demo/json").json()
    assert (page["info"]["version"], list(page["releases"])) == ("1.0", ["1.0"])
    assert site.ask("GET", "/pypi/demo/2.0/json").status_code == 404
    detail = site.ask("GET", "/api/v1/projects/demo").json()
    assert [file["version"] for file in detail["files"]] == ["1.0"]
    assert "'minimum_age'" in site.ask("GET", path).json()["message"]


def test_the_age_of_an_upstream_wins(upstream: Upstream, start: Start) -> None:
    """What is good for all may be too short for one, or too long."""
    upstream.has("demo", "2.0", listed=datetime.now(UTC).isoformat())
    one = {"name": "inner", "url": upstream.simple, "minimum_age": "1 ms"}
    site = start("none", upstream="", upstreams=(one,), rules={"minimum_age": "3 d"})
    assert len(listed(site, "demo")) == 1

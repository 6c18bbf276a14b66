"""Rules on what upstreams send: decided in one place, heeded at every door."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import NormalizedName

from app import errors
from app.cache.memory import MemoryCache
from app.config import Settings
from app.index import Index
from app.models import Kind
from app.outbound import Outbound
from app.storage.memory import MemoryStorage
from app.upstream.entries import Entry
from app.upstream.opening import upstreams
from app.upstream.options import RuleOptions
from app.upstream.rules import Rules
from app.upstream.specs import spec
from tests.factories import Made
from tests.servers.sigstore_root import Sigstore
from tests.servers.upstream import Asked, Sent, Upstream
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


ACME = entry(publishers=("github:acme/demo",))


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
        (entry(hashes={}), {"deny": "other; sha256:" + "0" * 64}, "deny"),
        (entry(hashes={"md5": "0" * 32}), {"quarantine": "sha256:" + "0" * 64}, "quarantine"),
        (entry(hashes={}), {"deny": "other"}, None),
        (entry(), {"deny": "sha256:" + "0" * 64}, None),
        (entry(), {"only_attested": "demo"}, "only_attested"),
        (entry(provenance="https://x.example/"), {"only_attested": "demo"}, None),
        (entry(), {"only_publishers": "demo = github:acme/demo"}, "only_publishers"),
        (entry(), {"only_publishers": "other = github:acme/demo"}, None),
        (ACME, {"only_publishers": "demo = GitHub:Acme/Demo"}, None),
        (ACME, {"only_publishers": "demo>=1 = gitlab:x/y; de* = github:acme/*"}, None),
        (ACME, {"only_publishers": "demo = github:acme2/demo"}, "only_publishers"),
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


@pytest.mark.parametrize(
    "text", ["demo", "demo = acme", "= github:acme/demo", "demo = github:", "demo = git hub:x/y"]
)
def test_a_publisher_that_nobody_can_be_is_refused(text: str) -> None:
    """At the start, too."""
    with pytest.raises(ValueError, match="write"):
        RuleOptions(only_publishers=(text,))


GITHUB = "https://token.actions.githubusercontent.com"


def bundles(publisher: dict[str, str], *attestations: dict[str, Any]) -> bytes:
    """Provenance that names a publisher."""
    bundle = {"publisher": {**publisher, "claims": None}, "attestations": attestations}
    return json.dumps({"version": 1, "attestation_bundles": [bundle]}).encode()


def of_github(
    sigstore: Sigstore, made: Made, says: str, *, built_by: str = "", about: str = ""
) -> bytes:
    """Provenance of a repository's release, signed by its build, or by somebody else's."""
    source = f"https://github.com/{built_by or says}"
    build = f"{source}/.github/workflows/release.yml@refs/tags/v1"
    identity = {"8": GITHUB, "12": source, "14": "refs/tags/v1", "18": build}
    signed = sigstore.attest(about or made.filename, made.sha256, identity)
    return bundles({"kind": "GitHub", "repository": says, "workflow": "release.yml"}, signed)


def test_only_files_of_some_publishers_are_handed_out(
    upstream: Upstream, start: Start, tmp_path: Path
) -> None:
    """At every door; provenance that is missing, broken, forged or elsewhere names nobody.

    It is read once for each file, for projects that the rule is about alone, and for what was
    kept before there was the rule.
    """
    sigstore = Sigstore()
    root = sigstore.write(tmp_path / "root.json")
    made = {
        version: upstream.has("demo", version, provenance=f"{upstream.url}/integrity/{version}")
        for version in ("1.0", "2.0", "3.0", "4.0", "7.0", "8.0", "9.0", "10.0")
    }
    one = made["1.0"]
    strangers = of_github(sigstore, made["7.0"], "acme/demo", built_by="stranger/demo")
    sent = {
        "1.0": of_github(sigstore, one, "Acme/demo"),
        "2.0": of_github(sigstore, made["2.0"], "stranger/demo"),
        "3.0": b'{"version": 1, "attestation_bundles": [{"publisher": "github"}]}',
        "4.0": b"<html>",
        "7.0": strangers,
        "8.0": of_github(sigstore, made["8.0"], "acme/demo", about=one.filename),
        "9.0": of_github(Sigstore(), made["9.0"], "acme/demo"),
        "10.0": of_github(sigstore, one, "acme/demo"),
    }
    upstream.has("demo", "5.0", provenance="http://127.0.0.1:1/integrity/5.0")
    upstream.has("demo", "6.0")
    other = upstream.has("other", provenance=f"{upstream.url}/integrity/other")

    def integrity(asked: Asked, usual: Sent) -> Sent:
        kind, _, version = asked.path.lstrip("/").partition("/")
        return Sent(body=sent[version]) if kind == "integrity" and version in sent else usual

    upstream.fault = integrity
    site = start("cache")
    fetched(site, "demo", made["2.0"])
    assert upstream.paths("integrity") == []
    site = start("cache", rules={"only_publishers": "demo = github:acme/*"}, attestation_root=root)
    for _ in range(2):
        assert set(listed(site, "demo")) == {made["1.0"].filename}
    fetched(site, "demo", made["1.0"])
    for version in [f"{number}.0" for number in range(2, 11)]:
        path = f"/files/demo/demo-{version}-py3-none-any.whl"
        for url in (path, f"{path}.metadata"):
            refused = site.ask("GET", url)
            assert (refused.status_code, "'only_publishers'" in refused.json()["message"]) == (
                403, True,
            )  # fmt: skip
    assert list(site.ask("GET", "/pypi/demo/json").json()["releases"]) == ["1.0"]
    assert set(listed(site, "other")) == {other.filename}
    asked = [f"/integrity/{version}" for version in sent]
    assert sorted(upstream.paths("integrity")) == sorted(asked)


@pytest.mark.parametrize("of_its_own", [False, True], ids=["of all", "of one upstream"])
async def test_a_rule_of_publishers_needs_somebody_who_verifies(
    tmp_path: Path, of_its_own: bool
) -> None:
    """Without the libraries the start says so, in one line."""
    rule = {"only_publishers": "demo = github:acme/*"}
    one = {"name": "inner", "url": "https://upstream.example/simple/", "policy": "cache"}
    settings = Settings.model_validate(
        {"upstreams": [{**one, "rules": rule}] if of_its_own else [one]}
        | ({} if of_its_own else {"rules": rule})
    )
    storage = MemoryStorage()
    index = Index(storage, MemoryCache())
    with pytest.raises(errors.Misconfigured, match="needs the extra 'attestations'"):
        async with upstreams(
            settings, index, storage, Outbound(), spool=tmp_path, largest=1, verify=None
        ):
            pass


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

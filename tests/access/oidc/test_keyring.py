"""Fetching the keys of issuers: seldom, once at a time, from where they belong, with faults."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable

import pytest

from app import errors
from app.access.ledger import Ledger
from app.access.oidc.issuers import GOOGLE, PUBLIC, configured, issuer, table
from app.access.oidc.keyring import FRESH, GOOD, PAUSE
from app.outbound import LIMIT
from tests.access.oidc.bench import Bench
from tests.servers.issuer import DISCOVERY, JWKS, Answered, Issuer, rsa_key

OK = {"Content-Type": "application/json"}


async def unreachable(bench: Bench, text: str) -> None:
    """Nobody can tell whether the token is good: the client is to try again."""
    with pytest.raises(errors.Unreachable):
        await bench.admit(text)


async def test_the_keys_are_fetched_once(bench: Bench) -> None:
    """However many tokens come, at once or one after the other."""
    await bench.publisher()
    assert await bench.outcomes(*(bench.token() for _ in range(10))) == ["ok"] * 10
    await bench.admit(bench.token())
    assert bench.source.asked == [DISCOVERY, JWKS]


async def test_an_unknown_key_is_looked_for_once_a_minute(bench: Bench) -> None:
    """Whoever makes keys up does not make us ask the issuer."""
    await bench.publisher()
    await bench.admit(bench.token())
    for number in range(5):
        await bench.refused(bench.token(kid=f"made-up-{number}", key=rsa_key()))
    assert bench.source.asked.count(JWKS) == 1
    bench.later += PAUSE
    many = [bench.token(kid=f"other-{number}", key=rsa_key()) for number in range(5)]
    await bench.outcomes(*many)
    assert bench.source.asked.count(JWKS) == 2


async def test_rotated_keys_are_found_and_old_ones_forgotten(bench: Bench) -> None:
    """A new key counts after a minute at the latest, one that is gone after an hour."""
    await bench.publisher()
    await bench.admit(bench.token())
    bench.source.keys = {"k2": rsa_key("another")}
    bench.later += PAUSE
    assert await bench.projects(kid="k2") == ["spam"]
    assert (await bench.refused(bench.token(key=rsa_key()))).code == "invalid-token"
    bench.source.keys = {"k3": rsa_key("third")}
    old = bench.token(kid="k2", key=rsa_key("another"))
    bench.later += FRESH
    assert (await bench.refused(old)).code == "invalid-token"


async def test_the_last_good_keys_serve_while_the_issuer_is_down(bench: Bench) -> None:
    """For a day; then nobody can tell any more."""
    await bench.publisher()
    await bench.admit(bench.token())
    bench.source.faults = {JWKS: lambda: (500, {}, b"")}
    bench.later += GOOD - 60
    assert await bench.projects() == ["spam"]
    bench.later += 120
    await unreachable(bench, bench.token())
    bench.source.faults = {}
    bench.later += PAUSE
    assert await bench.projects() == ["spam"]


def redirected(to: str) -> Answered:
    """Elsewhere."""
    return 302, {"Location": to}, b""


FAULTS: dict[str, Callable[[], Answered]] = {
    "an error": lambda: (500, {}, b""),
    "nothing": lambda: (204, {}, b""),
    "not found": lambda: (404, {}, b"{}"),
    "huge": lambda: (200, OK, json.dumps({"keys": ["x" * LIMIT]}).encode()),
    "endless": lambda: (200, {"Content-Length": str(10**12)}, b"[" * LIMIT * 3),
    "cut off": lambda: (200, {"Content-Length": "1000"}, b'{"keys": ['),
    "no JSON": lambda: (200, OK, b"<html>"),
    "deep": lambda: (200, OK, b"[" * 100_000),
    "not UTF-8": lambda: (200, OK, b"\xff\xfe\xff"),
    "a list": lambda: (200, OK, b"[]"),
    "null": lambda: (200, OK, b"null"),
    "keys that are none": lambda: (200, OK, b'{"keys": {}}'),
    "packed": lambda: (200, {**OK, "Content-Encoding": "gzip"}, b"x"),
}


@pytest.mark.parametrize("path", [DISCOVERY, JWKS])
@pytest.mark.parametrize("fault", FAULTS)
async def test_step_4_a_fault_of_the_issuer_admits_nothing(
    bench: Bench, fault: str, path: str
) -> None:
    """Whatever it answers: 503 and no error of ours, and after a minute it is asked again."""
    await bench.publisher()
    bench.source.faults = {path: FAULTS[fault]}
    for _ in range(3):
        await unreachable(bench, bench.token())
    assert bench.source.asked.count(path) == 1
    bench.source.faults = {}
    bench.later += PAUSE
    assert await bench.projects() == ["spam"]


@pytest.mark.parametrize("path", [DISCOVERY, JWKS])
async def test_step_4_redirects_are_not_followed(bench: Bench, path: str, tripwire: str) -> None:
    """Neither to another host nor to another path."""
    await bench.publisher()
    bench.source.faults = {path: lambda: redirected(f"{tripwire}{path}")}
    await unreachable(bench, bench.token())
    bench.source.faults = {path: lambda: redirected(f"{bench.source.url}/elsewhere")}
    bench.later += PAUSE
    await unreachable(bench, bench.token())
    assert "/elsewhere" not in bench.source.asked


@pytest.mark.parametrize(
    "location",
    ["{tripwire}/keys", "{local}/keys", "/keys", "", 5, None, "file:///etc/passwd", "http://["],
)
async def test_step_4_keys_elsewhere_are_not_fetched(
    bench: Bench, tripwire: str, location: object
) -> None:
    """The place that the issuer names is at its own origin, or configured."""
    await bench.publisher()
    if isinstance(location, str):
        local = bench.source.url.replace("127.0.0.1", "localhost")
        location = location.format(tripwire=tripwire, local=local)
    bench.source.document = {"jwks_uri": location}
    await unreachable(bench, bench.token())
    assert bench.source.asked == [DISCOVERY]


async def test_step_4_a_configured_place_is_asked_without_discovery(
    issuer: Issuer, ledger: Ledger
) -> None:
    """As Google has it: the keys are at another host, which the table names."""
    bench = Bench(issuer, ledger, jwks_uri=f"{issuer.url}{JWKS}")
    await bench.publisher()
    assert await bench.projects() == ["spam"]
    assert issuer.asked == [JWKS]


async def test_step_4_a_configuration_of_another_issuer_is_none(bench: Bench) -> None:
    """The document says whose it is."""
    await bench.publisher()
    bench.source.document = {"issuer": "https://another.example"}
    await unreachable(bench, bench.token())


async def test_step_4_an_issuer_that_hangs_costs_seconds_once(
    issuer: Issuer, ledger: Ledger
) -> None:
    """All who wait at once wait for the same request, and no longer than the limit."""
    bench = Bench(issuer, ledger)
    await bench.publisher()

    ended = threading.Event()

    def hang() -> Answered:
        ended.wait(60)
        return 200, OK, b"{}"

    issuer.faults = {JWKS: hang}
    try:
        async with asyncio.timeout(50):
            await asyncio.gather(*(unreachable(bench, bench.token()) for _ in range(5)))
    finally:
        ended.set()
    assert issuer.asked.count(JWKS) == 1


async def test_the_issuers_that_are_well_known() -> None:
    """Their providers are fixed, and each is a publisher's only possible issuer."""
    known = table([issuer(url) for url in PUBLIC])
    assert {one.provider for one in known.values()} == {
        *("github", "gitlab", "google", "activestate", "buildkite")
    }
    assert known[GOOGLE].jwks_uri is not None
    found = configured(known, "github", None)
    assert found is not None
    assert found.url == "https://token.actions.githubusercontent.com"
    assert configured(known, "github", GOOGLE) is None
    assert configured(known, "custom", None) is None
    assert configured(known, "github", "https://evil.example") is None


async def test_an_issuer_of_circleci_is_known_by_its_beginning() -> None:
    """There every organisation has an issuer of its own."""
    assert issuer("https://oidc.circleci.com/org/0815").provider == "circleci"
    assert issuer("https://ci.example").provider is None
    own = table([issuer("https://git.corp.example", provider="gitlab"), *map(issuer, PUBLIC)])
    assert configured(own, "gitlab", None) is None
    found = configured(own, "gitlab", "https://git.corp.example")
    assert found is not None

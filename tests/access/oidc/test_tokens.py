"""Each step of the verification of an identity token, in its order (7.5)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from app.access.ledger import Ledger
from app.access.oidc.tokens import LEEWAY, TEXT
from tests.access.oidc.bench import AUDIENCE, Bench, github
from tests.servers.issuer import Issuer, ec_key, encoded, jwk, rsa_key, signature

INVALID = "invalid-token"
NAN = '{"iss": NaN}'
NOT_UTF8 = bytes([123, 255, 125])


def raw(header: object, payload: object, end: bytes = b"x") -> str:
    """A token of these parts, whatever they are."""
    parts = (json.dumps(header), json.dumps(payload))
    return ".".join([*map(encoded, parts), encoded(end)])


def segments(text: str) -> list[str]:
    """The three parts."""
    return text.split(".")


async def test_a_good_token_is_admitted_to_the_project_of_its_publisher(bench: Bench) -> None:
    """The claims of a release fit the publisher that was registered for it."""
    publisher = await bench.publisher()
    admitted = await bench.admit(bench.token())
    assert [one.id for one in admitted.publishers.values()] == [publisher.id]
    assert admitted.snapshot["repository_id"] == "1001"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: "a.b",
        lambda text: text + ".x",
        lambda text: text + "\n",
        lambda text: text.replace(".", ". ", 1),
        lambda text: text + "=" * 2,
        lambda text: "é" + text,
        lambda text: text + "A" * TEXT,
        lambda text: "..".join(segments(text)[:2]),
        lambda text: ".".join(["" if n == 2 else s for n, s in enumerate(segments(text))]),
        lambda text: raw([], {}),
        lambda text: raw({"alg": "RS256", "kid": "k1"}, []),
        lambda text: f"{encoded('[' * 2500)}.{encoded('{}')}.eA",
        lambda text: f"{segments(text)[0]}.{encoded(NAN)}.eA",
        lambda text: f"{segments(text)[0]}.{encoded(NOT_UTF8)}.eA",
        lambda text: f"{encoded('{')}.{segments(text)[1]}.eA",
    ],
)
async def test_step_1_what_is_not_three_segments_of_json_is_refused(
    bench: Bench, spoil: Callable[[str], str]
) -> None:
    """A JWT has three parts in the alphabet of URLs, two of them objects, and is short."""
    await bench.publisher()
    assert (await bench.refused(spoil(bench.token()))).code == INVALID
    assert bench.source.asked == []


async def test_step_1_a_member_that_comes_twice_is_refused(bench: Bench) -> None:
    """Of two issuers in one payload, readers would differ in which they take."""
    payload = f'{{"iss":"{bench.source.url}","iss":"https://evil.example"}}'
    text = f"{encoded(json.dumps({'alg': 'RS256', 'kid': 'k1'}))}.{encoded(payload)}.eA"
    assert (await bench.refused(text)).code == INVALID


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "RS384", "PS256", 5, None])
async def test_step_2_another_algorithm_is_refused(bench: Bench, algorithm: object) -> None:
    """The algorithm is ours to choose, and 'none' is no signature."""
    await bench.publisher()
    claims = bench.source.claims(**github())
    for end in (b"\0", b"x" * 256):
        text = raw({"alg": algorithm, "kid": "k1", "typ": "JWT"}, claims, end)
        assert (await bench.refused(text)).code == INVALID
    assert bench.source.asked == []


@pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
async def test_step_2_an_hmac_with_the_public_key_is_no_signature(
    bench: Bench, algorithm: str
) -> None:
    """The public key is no secret, in whatever form it is taken as one."""
    await bench.publisher()
    public = rsa_key().public_key()
    forms = (
        (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        (serialization.Encoding.PEM, serialization.PublicFormat.PKCS1),
        (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
    )
    head = encoded(json.dumps({"alg": algorithm, "kid": "k1", "typ": "JWT"}))
    body = encoded(json.dumps(bench.source.claims(**github())))
    for encoding, form in forms:
        secret = public.public_bytes(encoding, form)
        mac = hmac.new(secret, f"{head}.{body}".encode(), hashlib.sha256).digest()
        assert (await bench.refused(f"{head}.{body}.{encoded(mac)}")).code == INVALID


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]},
        {"b64": False},
        {"jwk": {"kty": "oct", "k": "AA"}},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/certificate"},
        {"x5c": ["AAAA"]},
        {"zip": "DEF"},
        {"crit": None},
        {"typ": "at+jwt"},
        {"typ": 5},
        {"typ": "JOSE"},
    ],
)
async def test_step_2_headers_that_change_the_meaning_are_refused(
    bench: Bench, header: dict[str, Any]
) -> None:
    """No key comes with the token, no extension, no other type."""
    await bench.publisher()
    claims = bench.source.claims(**github())
    head = {"alg": "RS256", "kid": "k1", "typ": "JWT", **header}
    text = f"{encoded(json.dumps(head))}.{encoded(json.dumps(claims))}"
    signed = f"{text}.{encoded(signature(rsa_key(), text.encode()))}"
    assert (await bench.refused(signed)).code == INVALID
    assert bench.source.asked == []


async def test_step_2_no_key_is_fetched_from_where_a_token_says(
    bench: Bench, tripwire: str
) -> None:
    """Neither ``jku`` nor ``x5u`` nor an issuer that nobody configured is asked."""
    await bench.publisher()
    for name in ("jku", "x5u"):
        await bench.refused(bench.token(headers={name: f"{tripwire}/keys"}))
    await bench.refused(bench.token({**github(), "iss": tripwire}))
    await bench.refused(bench.token({**github(), "jwks_uri": f"{tripwire}/keys"}, kid=None))


@pytest.mark.parametrize("kid", [None, "", "k2", "k" * 201, "k\n1", 5, ["k1"], {"kid": "k1"}])
async def test_step_2_a_key_that_is_not_named_is_refused(bench: Bench, kid: object) -> None:
    """A token names its key; no other is tried."""
    await bench.publisher()
    head = {"alg": "RS256", "typ": "JWT", **({} if kid is None else {"kid": kid})}
    text = f"{encoded(json.dumps(head))}.{encoded(json.dumps(bench.source.claims(**github())))}"
    signed = f"{text}.{encoded(signature(rsa_key(), text.encode()))}"
    assert (await bench.refused(signed)).code == INVALID


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url + "/",
        lambda url: url.upper(),
        lambda url: url.replace("127.0.0.1", "localhost"),
        lambda url: " " + url,
        lambda url: None,
        lambda url: [url],
        lambda url: {"url": url},
    ],
)
async def test_step_3_the_issuer_is_one_exact_string(
    bench: Bench, change: Callable[[str], object]
) -> None:
    """What looks like a known issuer is not one."""
    await bench.publisher()
    claims = github(iss=change(bench.source.url))
    refused = await bench.refused(bench.token(claims))
    assert refused.code == INVALID
    assert bench.source.url not in str(refused)
    assert bench.source.asked == []


async def test_step_5_a_signature_by_another_key_is_refused(bench: Bench) -> None:
    """The key's id proves nothing."""
    await bench.publisher()
    assert (await bench.refused(bench.token(key=rsa_key("another")))).code == INVALID


async def test_step_5_every_changed_bit_is_noticed(bench: Bench) -> None:
    """Claims that were signed cannot be exchanged for others."""
    await bench.publisher()
    head, _, end = segments(bench.token(github(repository="evil/spam")))
    body = encoded(json.dumps(bench.source.claims(**github())))
    assert (await bench.refused(f"{head}.{body}.{end}")).code == INVALID
    head, body, _ = segments(bench.token())
    assert (await bench.refused(f"{head}.{body}.{end}")).code == INVALID


async def test_step_5_es256_counts_where_the_issuer_signs_so(
    issuer: Issuer, ledger: Ledger
) -> None:
    """An issuer has one algorithm; a key is used with its own alone."""
    issuer.keys = {"k1": rsa_key(), "k2": ec_key()}
    elliptic, usual = Bench(issuer, ledger, algorithm="ES256"), Bench(issuer, ledger)
    await elliptic.publisher()
    usual.generations = elliptic.generations
    es256: Any = {"kid": "k2", "algorithm": "ES256"}
    assert await elliptic.projects(**es256) == ["spam"]
    assert (await elliptic.refused(elliptic.token())).code == INVALID
    assert (await usual.refused(usual.token(**es256))).code == INVALID
    crossed = usual.token(kid="k2", key=rsa_key())
    assert (await usual.refused(crossed)).code == INVALID


@pytest.mark.parametrize("bits", [1024, 2047])
async def test_step_4_a_short_key_is_no_key(bench: Bench, bits: int) -> None:
    """RSA below 2,048 bits is not used."""
    await bench.publisher()
    bench.source.keys = {"k1": rsa_key("short", bits)}
    assert (await bench.refused(bench.token())).code == INVALID


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "k": encoded("secret"), "kid": "k9", "alg": "HS256"},
        {"kty": "RSA", "kid": "k9"},
        {"kty": "RSA", "kid": "k9", "n": 5, "e": "AQAB"},
        {"kty": "RSA", "kid": "k9", "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA", "kid": "k9", "n": encoded(b"\xff" * 256), "e": "AQ"},
        {"kty": "RSA", "kid": "k9", "n": encoded(b"\xff" * 60_000), "e": "AQAB"},
        {"kty": "EC", "crv": "P-256", "kid": "k9", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-384", "kid": "k9", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "kid": "k9", "x": "AA"},
        {"kid": "k9", "key_ops": 5, "kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kid": ["k9"]},
        "k9",
        None,
        5,
    ],
)
async def test_step_4_what_cannot_be_used_is_read_over(bench: Bench, entry: Any) -> None:
    """An issuer's set may hold keys of other kinds, and nonsense; ours is found beside them."""
    await bench.publisher()
    bench.source.listed = [entry]
    assert await bench.projects() == ["spam"]
    assert (await bench.refused(bench.token(kid="k9", key=rsa_key()))).code == INVALID


async def test_step_4_two_keys_of_one_id_are_none(bench: Bench) -> None:
    """Nobody can say which is meant."""
    await bench.publisher()
    bench.source.listed = [jwk(rsa_key("another"), "k1")]
    assert (await bench.refused(bench.token())).code == INVALID


@pytest.mark.parametrize(
    "audience",
    [
        None,
        "",
        "pypi",
        AUDIENCE.upper(),
        AUDIENCE + " ",
        "https://" + AUDIENCE,
        [AUDIENCE],
        [AUDIENCE, "other"],
        ["other", AUDIENCE],
        [],
        {AUDIENCE: 1},
        5,
    ],
)
async def test_step_6_the_audience_is_ours_alone(bench: Bench, audience: object) -> None:
    """A token made for others too could be shown to us by them; a list is refused."""
    await bench.publisher()
    assert (await bench.refused(bench.token(github(aud=audience)))).code in (
        INVALID,
        "invalid-publisher",
    )


async def test_step_6_kubernetes_lists_its_one_audience(issuer: Issuer, ledger: Ledger) -> None:
    """There a list of exactly one is what every token has."""
    bench = Bench(issuer, ledger, provider="kubernetes")
    conditions = {"namespace": "ci", "service_account": "publisher"}
    await bench.publisher(provider="kubernetes", conditions=conditions)
    claims = {"sub": "system:serviceaccount:ci:publisher"}
    assert await bench.projects({**claims, "aud": [AUDIENCE]}) == ["spam"]
    for audience in ([AUDIENCE, "other"], [[AUDIENCE]], []):
        refused = await bench.refused(bench.token({**claims, "aud": audience}))
        assert refused.code == INVALID


@pytest.mark.parametrize(
    ("claims", "wrong"),
    [
        (lambda now: {"iat": now - 400, "exp": now - LEEWAY - 1}, "expired"),
        (lambda now: {"iat": now + LEEWAY + 60, "exp": now + 300}, "not valid yet"),
        (lambda now: {"nbf": now + LEEWAY + 60}, "not valid yet"),
        (lambda now: {"exp": now + 3601}, "longer"),
        (lambda now: {"exp": now + 86400}, "longer"),
        (lambda now: {"iat": now - 86400, "exp": now + 300}, "longer"),
        (lambda now: {"iat": now, "exp": now}, "longer"),
        (lambda now: {"iat": now, "exp": now - 10}, "longer"),
        (lambda now: {"exp": 2**70}, "not a time"),
        (lambda now: {"exp": 2**53 + 1, "iat": 2**53}, "not a time"),
        (lambda now: {"exp": None}, "not a time"),
        (lambda now: {"iat": None}, "not a time"),
        (lambda now: {"exp": str(now + 300)}, "not a time"),
        (lambda now: {"exp": now + 300.5}, "not a time"),
        (lambda now: {"exp": True, "iat": False}, "not a time"),
        (lambda now: {"iat": -1}, "not a time"),
        (lambda now: {"nbf": "now"}, "not a time"),
        (lambda now: {"nbf": []}, "not a time"),
    ],
)
async def test_step_7_times_are_whole_seconds_of_a_short_life(
    bench: Bench, claims: Callable[[int], dict[str, Any]], wrong: str
) -> None:
    """A token has begun, has not ended, and lives an hour at most."""
    await bench.publisher()
    refused = await bench.refused(bench.token(github(**claims(int(time.time())))))
    assert refused.code == INVALID
    assert wrong in str(refused)


async def test_step_7_clocks_may_differ_a_little(bench: Bench) -> None:
    """Half a minute is forgiven on either side."""
    await bench.publisher()
    now = int(time.time())
    ended = github(iat=now - 200, exp=now - LEEWAY + 20)
    early = github(iat=now + LEEWAY - 20, nbf=now + LEEWAY - 20, exp=now + 300)
    assert await bench.projects(ended) == ["spam"]
    assert await bench.projects(early) == ["spam"]


@pytest.mark.parametrize("number", [None, 5, "", ["x"]])
async def test_step_7_a_token_of_a_numbering_issuer_has_its_number(
    bench: Bench, number: object
) -> None:
    """Without its id a token of GitHub is none."""
    await bench.publisher()
    assert (await bench.refused(bench.token(github(jti=number)))).code == "invalid-publisher"


async def test_step_13_a_token_is_good_once(bench: Bench) -> None:
    """One after the other, the second is refused."""
    await bench.publisher()
    text = bench.token()
    assert await bench.outcomes(text) == ["ok"]
    assert await bench.outcomes(text) == ["invalid-reuse-token"]


async def test_step_13_of_many_at_once_one_is_admitted(issuer: Issuer, ledger: Ledger) -> None:
    """On two replicas with one ledger, a token sent many times at once is good once."""
    one = Bench(issuer, ledger)
    two = Bench(issuer, ledger)
    await one.publisher()
    two.generations = one.generations
    text = one.token()
    found = await asyncio.gather(one.outcomes(*[text] * 5), two.outcomes(*[text] * 5))
    assert sorted(found[0] + found[1]) == ["invalid-reuse-token"] * 9 + ["ok"]


async def test_step_13_the_number_is_remembered_beyond_the_tokens_end(bench: Bench) -> None:
    """Longer than the leeway with which the token would still be taken, sweeping or not."""
    await bench.publisher()
    expires = int(time.time()) + 100
    text = bench.token(github(exp=expires))
    await bench.admit(text)
    bench.clock = 100 + LEEWAY - 20  # with room for a slow machine
    last = datetime.fromtimestamp(expires + LEEWAY + 1, UTC)
    await bench.ledger.once.sweep(last)
    assert await bench.outcomes(text) == ["invalid-reuse-token"]


async def test_step_13_without_a_number_the_payload_itself_is_used_up(
    issuer: Issuer, ledger: Ledger
) -> None:
    """What issuers do not number cannot be used twice either, signed anew or not."""
    bench = Bench(issuer, ledger, provider="google", algorithm="ES256")
    issuer.keys = {"k1": ec_key()}
    await bench.publisher(provider="google", conditions={"email": "ci@octo.example"})
    claims = issuer.claims(
        aud=AUDIENCE, email="ci@octo.example", email_verified=True, jti=None, sub="1"
    )
    first, second = (issuer.sign(claims, algorithm="ES256") for _ in range(2))
    assert first != second
    assert await bench.outcomes(first) == ["ok"]
    assert await bench.outcomes(second) == ["invalid-reuse-token"]
    head, body, end = segments(first)
    assert await bench.outcomes(f"{head}.{body}.{_other_half(end)}") == ["invalid-reuse-token"]


async def test_step_13_a_refused_token_is_not_used_up(bench: Bench) -> None:
    """Somebody registers the publisher, and the build goes on with the token it has."""
    text = bench.token()
    assert await bench.outcomes(text) == ["invalid-publisher"]
    await bench.publisher()
    assert await bench.outcomes(text) == ["ok"]


async def test_step_16_no_refusal_says_what_nearly_matched(bench: Bench) -> None:
    """Neither the token nor a publisher stands in what the client reads."""
    await bench.publisher(conditions={"repository": "octo/spam", "workflow": "other.yml"})
    text = bench.token()
    refused = await bench.refused(text)
    for secret in (text, "octo", "other.yml", "spam"):
        assert secret not in str(refused)


def _other_half(end: str) -> str:
    """The second signature that every ECDSA signature has: (r, n - s)."""
    n = int("FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551", 16)
    both = base64.urlsafe_b64decode(end + "=" * (-len(end) % 4))
    s = int.from_bytes(both[32:])
    return encoded(both[:32] + (n - s).to_bytes(32))

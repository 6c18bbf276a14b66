"""Single sign-on: through a provider of our own and back, and every way that must fail."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from app.access.oidc.options import SsoOptions
from app.access.oidc.signing_in import SigningIn
from app.access.options import LimitOptions
from app.config import Settings
from app.main import create_app
from app.outbound import Outbound
from tests.conftest import ADMIN
from tests.servers import issuer as issuers
from tests.servers.issuer import Issuer, rsa_key
from tests.serving import serving_ready


@contextmanager
def served(
    folder: Path, provider: Issuer, *, logins: int = 1000, **changed: Any
) -> Iterator[httpx.Client]:
    """A service that logs people in at the issuer; a browser at it, with no cookies yet."""
    options: dict[str, Any] = {
        "issuer": provider.url,
        "client_id": "our index",
        "client_secret": SecretStr(provider.secret),
        "link_users": True,
        **changed,
    }
    settings = Settings(
        storage="memory:",
        cache="memory:",
        access=f"sqlite+aiosqlite:///{folder}/access.db",
        spool=folder / "spool",
        admin_password=SecretStr(ADMIN[1]),
        inspectors=1,
        limits=LimitOptions(logins=logins),
        sso=SsoOptions(**options),
    )
    with (
        serving_ready(create_app(settings)) as service,
        httpx.Client(base_url=service.url, timeout=60) as browser,
    ):
        yield browser


@pytest.fixture
def provider() -> Iterator[Issuer]:
    """Where ``admin`` is logged in."""
    with issuers.running() as running:
        running.secret = "c%lient: sécret"
        running.login = {"preferred_username": "admin", "jti": None}
        yield running


@pytest.fixture
def browser(tmp_path: Path, provider: Issuer) -> Iterator[httpx.Client]:
    """A browser at a service that makes no users."""
    with served(tmp_path, provider) as browser:
        yield browser


def leave(browser: httpx.Client, path: str = "/login/sso?next=/simple/") -> str:
    """To the provider and back as far as its answer: our URL with code and state."""
    there = browser.get(path)
    assert there.status_code == 303, there.text
    return httpx.get(there.headers["location"]).headers["location"]


def attempt_of_nobody() -> str:
    """What the browser would keep, made up."""
    made = {"state": "s", "nonce": "n", "verifier": "v", "next": "/", "until": 10**20}
    return base64.urlsafe_b64encode(json.dumps(made).encode()).decode()


def known(browser: httpx.Client) -> bool:
    """Whether the browser is logged in."""
    return browser.get("/account").status_code == 200


def test_somebody_logs_in_at_the_provider(browser: httpx.Client, provider: Issuer) -> None:
    """With a code for a token, PKCE and the client's secret; then they are where they were."""
    assert "/login/sso?next=" in browser.get("/login").text
    there = browser.get("/login/sso?next=/simple/")
    asked = {
        name: values[0]
        for name, values in parse_qs(urlsplit(there.headers["location"]).query).items()
    }
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert asked["scope"] == "openid profile email"
    assert len(asked["state"]) >= 43
    assert len(asked["nonce"]) >= 43
    assert provider.secret not in there.headers["location"]
    back = httpx.get(there.headers["location"]).headers["location"]
    answer = browser.get(back)
    assert (answer.status_code, answer.headers["location"]) == (303, "/simple/")
    assert known(browser)
    (exchange,) = provider.exchanges
    assert exchange["grant_type"] == "authorization_code"
    assert len(exchange["code_verifier"]) >= 43


def test_a_login_long_ago_at_the_provider_is_asked_for_again(
    browser: httpx.Client, provider: Issuer
) -> None:
    """Before what only a fresh one allows; one that does not say when counts from now."""

    def makes_a_token() -> bool:
        match = re.search(r'name="csrf" value="([^"]+)"', browser.get("/account").text)
        assert match is not None
        origin = str(browser.base_url).rstrip("/")
        answer = browser.post(
            "/account/tokens",
            data={"csrf": match[1], "permission": "read", "days": "1"},
            headers={"Origin": origin, "Sec-Fetch-Site": "same-origin"},
        )
        if answer.status_code != 200:
            assert answer.headers["location"] == "/login?next=/account"
        return answer.status_code == 200

    now = int(time.time())
    provider.login["auth_time"] = now - 7200
    assert "max_age" not in browser.get("/login/sso").headers["location"]
    browser.get(leave(browser))
    assert known(browser)
    assert not makes_a_token()
    for said, fresh in ((now - 7200, False), (now, True), (now - 7200, False), (None, True)):
        provider.login["auth_time"] = said
        assert "&max_age=1800" in browser.get("/login/sso").headers["location"]
        browser.get(leave(browser))
        assert makes_a_token() is fresh


def test_a_login_is_good_once_and_for_its_browser(browser: httpx.Client, provider: Issuer) -> None:
    """Neither a second time, nor in another browser, nor with another state."""
    back = leave(browser)
    kept = dict(browser.cookies)
    for wrong in (
        back.replace("state=", "state=x"),
        back.partition("&state")[0],
        back + "&state=y",
    ):
        assert browser.get(wrong).status_code in (403, 400)
    with httpx.Client(base_url=browser.base_url) as other:
        assert other.get(back).status_code == 403
        for forged in (
            "nonsense",
            "e30=.00",
            attempt_of_nobody(),
            f"{attempt_of_nobody()}.{'0' * 64}",
        ):
            other.cookies.set("pypicloud-sso", forged)
            assert other.get("/login/sso/callback?code=x&state=s").status_code == 403
    assert not provider.exchanges
    assert browser.get(back).status_code == 303
    browser.cookies.clear()
    browser.cookies.update(kept)
    assert browser.get(back).status_code == 403
    assert not known(browser)


WRONG: dict[str, dict[str, Any]] = {
    "nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "audience": {"aud": "another index"},
    "audiences": {"aud": ["our index", "another"]},
    "azp": {"azp": "another"},
    "issuer": {"iss": "https://evil.example"},
    "expired": {"iat": 1_000_000_000, "exp": 1_000_000_300},
    "eternal": {"exp": 2**40},
    "nobody": {"preferred_username": "mallory"},
    "no name": {"preferred_username": None},
    "a list": {"preferred_username": ["admin"]},
    "no name at all": {"preferred_username": "../admin"},
}


def test_a_token_that_is_not_of_this_login_begins_nothing(
    browser: httpx.Client, provider: Issuer
) -> None:
    """Claims for others, of others, too old, or about nobody that is known here."""
    usual = provider.login
    for name, claims in WRONG.items():
        provider.login = {**usual, **claims}
        answer = browser.get(leave(browser))
        assert answer.status_code == 403, name
        assert not known(browser)
    provider.login = usual
    kept, provider.keys = provider.keys, {"k1": rsa_key("another")}
    assert browser.get(leave(browser)).status_code == 403
    provider.keys = kept


def test_a_provider_that_fails_is_no_fault_of_ours(browser: httpx.Client, provider: Issuer) -> None:
    """503 where it cannot be asked, a page that says so where it refuses; never a 500."""
    for fault, status in (
        ((500, {}, b""), 403),
        ((200, {}, b"[]"), 403),
        ((200, {}, b"{}"), 403),
        ((302, {"Location": "http://127.0.0.1:9/"}, b""), 403),
        ((200, {"Content-Length": "50"}, b"{"), 503),
    ):
        provider.faults = {"/token": lambda fault=fault: fault}  # type: ignore[misc]
        assert browser.get(leave(browser)).status_code == status
    provider.faults = {}
    assert browser.get(leave(browser).partition("code=")[0] + "code=x").status_code == 403
    assert not known(browser)


def test_logins_that_come_to_nothing_are_limited(tmp_path: Path, provider: Issuer) -> None:
    """After ten from one address nothing is asked of the provider, and the trail is not filled."""
    provider.login = {"preferred_username": "nobody-here", "sub": "1"}
    with served(tmp_path, provider, logins=10) as browser:
        answers = [browser.get(leave(browser)).status_code for _ in range(10)]
        assert answers == [403] * 10
        asked = len(provider.exchanges)
        answer = browser.get(leave(browser))
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "300")
        assert len(provider.exchanges) == asked


def test_a_user_is_bound_to_the_first_who_comes(tmp_path: Path, provider: Issuer) -> None:
    """By issuer and subject: another one of that name is refused, the same one may be renamed."""
    with served(tmp_path, provider, create_users=True, link_users=False) as browser:
        provider.login = {"preferred_username": "carol", "sub": "1"}
        assert browser.get(leave(browser)).status_code == 303
        provider.login = {"preferred_username": "carol", "sub": "2"}
        refused = browser.get(leave(browser))
        assert refused.status_code == 403
        assert "is here already" in refused.text
        provider.login = {"preferred_username": "caroline", "sub": "1"}
        assert browser.get(leave(browser)).status_code == 303
        assert ">carol</h1>" in browser.get("/account").text
        provider.login = {"preferred_username": "dave", "sub": None}
        assert browser.get(leave(browser)).status_code == 403
        # Whoever is made anew under the name is nobody's.
        browser.delete("/api/v1/users/carol", auth=ADMIN).raise_for_status()
        provider.login = {"preferred_username": "carol", "sub": "2"}
        assert browser.get(leave(browser)).status_code == 303


def test_users_who_are_here_are_taken_over_only_where_that_is_set(
    tmp_path: Path, provider: Issuer
) -> None:
    """Else whoever chooses the admin's name at the provider would be the admin."""
    with served(tmp_path, provider, create_users=True, link_users=False) as browser:
        provider.login = {"preferred_username": "Admin", "sub": "evil"}
        assert browser.get(leave(browser)).status_code == 403
        assert not known(browser)
    with served(tmp_path, provider) as browser:
        provider.login = {"preferred_username": "admin", "sub": "1"}
        assert browser.get(leave(browser)).status_code == 303
        provider.login = {"preferred_username": "admin", "sub": "evil"}
        refused = browser.get(leave(browser))
        assert refused.status_code == 403
        assert "somebody else" in refused.text


def test_an_address_names_nobody_before_it_is_verified(tmp_path: Path, provider: Issuer) -> None:
    """Whoever may type one in at the provider is not whose it is."""
    with served(tmp_path, provider, create_users=True, username_claim="email") as browser:
        for verified, status in ((False, 403), ("true", 403), (None, 403), (True, 303)):
            provider.login = {"email": "boss@corp.example", "email_verified": verified}
            assert browser.get(leave(browser)).status_code == status


def test_keys_may_be_elsewhere(tmp_path: Path, provider: Issuer) -> None:
    """As Google's are; a setting says where, without it only the issuer's own origin counts."""
    with issuers.running() as keys:
        keys.keys = provider.keys
        elsewhere = f"{keys.url}{issuers.JWKS}"
        provider.document = {"jwks_uri": elsewhere}
        for uri, status in ((elsewhere, 303), (None, 503)):
            with served(tmp_path, provider, jwks_uri=uri) as browser:
                assert browser.get(leave(browser)).status_code == status
    google = SigningIn(
        SsoOptions(
            issuer="https://accounts.google.com",
            client_id="us",
            client_secret=SecretStr("secret"),
            create_users=True,
        ),
        Outbound(),
    )
    assert google.issuer.jwks_uri is not None


def test_users_are_made_where_that_is_set(tmp_path: Path, provider: Issuer) -> None:
    """And whoever has the group is an admin, as long as they have it."""
    options: dict[str, Any] = {
        "create_users": True,
        "admin_group": "staff",
        "username_claim": "nick",
    }
    with served(tmp_path, provider, **options) as browser:
        provider.login = {"nick": "Carol", "groups": ["staff"]}
        assert browser.get(leave(browser)).status_code == 303
        assert ">carol</h1>" in browser.get("/account").text
        csrf = browser.get("/account").text.partition('name="csrf" value="')[2].partition('"')[0]
        own = {"X-CSRF-Token": csrf, "Sec-Fetch-Site": "same-origin"}
        assert browser.get("/api/v1/changes", headers=own).status_code == 200
        provider.login = {"nick": "carol", "groups": "staff"}
        assert browser.get(leave(browser)).status_code == 303
        csrf = browser.get("/account").text.partition('name="csrf" value="')[2].partition('"')[0]
        own = {"X-CSRF-Token": csrf, "Sec-Fetch-Site": "same-origin"}
        assert browser.get("/api/v1/changes", headers=own).status_code == 403


def test_domains_may_be_bounded(tmp_path: Path, provider: Issuer) -> None:
    """A verified address in one of them, or no login."""
    with served(tmp_path, provider, domains=("octo.example",)) as browser:
        usual = provider.login
        for email, verified, status in (
            ("ada@octo.example", False, 403),
            ("ada@octo.example", "true", 403),
            ("ada@evil.example", True, 403),
            ("ada@octo.example@evil.example", True, 403),
            (None, True, 403),
            ("ada@OCTO.example", True, 303),
        ):
            provider.login = {**usual, "email": email, "email_verified": verified}
            assert browser.get(leave(browser)).status_code == status, email


def test_without_a_provider_there_is_no_such_page(tmp_path: Path, provider: Issuer) -> None:
    """And the login page does not name it."""
    with served(tmp_path, provider, issuer="") as browser:
        assert "sso" not in browser.get("/login").text
        assert browser.get("/login/sso").status_code == 404
        assert browser.get("/login/sso/callback?code=x&state=y").status_code == 404


def test_a_provider_needs_our_name_and_secret() -> None:
    """And an URL that may be asked."""
    for wrong in (
        {"issuer": "https://sso.example"},
        {"issuer": "http://sso.example", "client_id": "x", "client_secret": "y"},
    ):
        with pytest.raises(ValidationError):
            SsoOptions(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("trusted", [True, False])
def test_a_proxys_header_counts_from_trusted_networks_alone(tmp_path: Path, trusted: bool) -> None:
    """Whoever else sends it is nobody; so is everybody while no setting names it."""
    base: dict[str, Any] = {
        "storage": "memory:",
        "cache": "memory:",
        "access": f"sqlite+aiosqlite:///{tmp_path}/access.db",
        "spool": tmp_path / "spool",
        "admin_password": SecretStr(ADMIN[1]),
        "inspectors": 1,
        "trusted_proxies": ("127.0.0.1/32",) if trusted else ("192.0.2.0/24",),
    }
    own = {"X-Forwarded-User": "admin"}
    for header in ("X-Forwarded-User", ""):
        settings = Settings(**base, sso=SsoOptions(header=header))
        with (
            serving_ready(create_app(settings)) as service,
            httpx.Client(base_url=service.url, timeout=60) as client,
        ):
            counts = trusted and header != ""
            assert client.get("/api/v1/changes", headers=own).status_code == (
                200 if counts else 401
            )
            if counts:
                for wrong in ("nobody", "../x"):
                    answer = client.get("/simple/", headers={"X-Forwarded-User": wrong})
                    assert answer.status_code == 401
                until = time.monotonic() + 30
                while "auth.login.fail" not in client.get("/api/v1/audit", headers=own).text:
                    assert time.monotonic() < until  # it is written beside the request
                twice = [("X-Forwarded-User", "admin"), ("X-Forwarded-User", "admin")]
                assert client.get("/api/v1/changes", headers=twice).status_code == 401
                crossed = {**own, "Sec-Fetch-Site": "cross-site"}
                assert client.post("/api/v1/reindex", headers=crossed).status_code == 403
                assert client.get("/api/v1/changes", headers=crossed).status_code == 403
                followed = {**crossed, "Sec-Fetch-Mode": "navigate"}
                assert client.get("/api/v1/changes", headers=followed).status_code == 200
                assert client.post("/api/v1/reindex", headers=followed).status_code == 403
                for origin in ("https://evil.example", "null"):
                    posted = {**own, "Origin": origin}
                    assert client.post("/api/v1/reindex", headers=posted).status_code == 403
                posted = {**own, "Origin": service.url}
                assert client.post("/api/v1/reindex", headers=posted).status_code == 202
                assert client.get("/account", headers=own).headers["location"].startswith("/login")
                assert client.get("/login", headers=own).headers["location"] == "/account"
                assert client.get("/account", headers=own).status_code == 200


def test_the_claim_decides_who_is_in_its_groups(tmp_path: Path, provider: Issuer) -> None:
    """At each login: in what it names, out of what it names no more; others are left alone."""
    options: dict[str, Any] = {"groups": ("sso-*", "Ops")}
    with served(tmp_path, provider, **options) as browser:
        auth = ADMIN
        for group in ("ops", "sso-old", "by-hand", "people"):
            browser.put(f"/api/v1/groups/{group}", auth=auth).raise_for_status()
        for group in ("sso-old", "by-hand"):
            path = f"/api/v1/groups/{group}/members/admin"
            browser.put(path, auth=auth).raise_for_status()

        def groups(*claimed: object) -> set[str]:
            """Where one is after a login with this claim."""
            provider.login = {**provider.login, "groups": list(claimed)}
            assert browser.get(leave(browser)).status_code == 303
            listed = browser.get("/api/v1/groups", auth=auth).json()["groups"]
            return {one["name"] for one in listed if "admin" in one["members"]}

        odd = ("people", "not a name", 7, None, "everyone")
        assert groups("SSO-dev", "/ops", *odd) == {"by-hand", "sso-dev", "ops"}
        assert groups("sso-dev") == {"by-hand", "sso-dev"}
        assert groups() == {"by-hand"}
        entries = browser.get("/api/v1/audit?limit=100", auth=auth).json()["entries"]
        told = [
            (one["action"], one["target"])
            for one in entries
            if one["action"].startswith("group.")
            and one["target"] in ("group:sso-dev", "group:ops", "group:sso-old")
        ]
        assert told[-6:] == [
            ("group.create", "group:sso-dev"),
            ("group.member.add", "group:ops"),
            ("group.member.add", "group:sso-dev"),
            ("group.member.remove", "group:sso-old"),
            ("group.member.remove", "group:ops"),
            ("group.member.remove", "group:sso-dev"),
        ]
        provider.login = {**provider.login, "groups": "ops"}
        assert browser.get(leave(browser)).status_code == 303

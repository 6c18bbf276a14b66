"""``/api/v1/notifications``: who may tell, what is said back, and what becomes of it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.factories import make_wheel
from tests.notices import shapes
from tests.notices.shapes import SHAPES
from tests.routes.stage import Stage, opened

SECRET = "a-secret-of-the-hook-7f3a"
URL = "/api/v1/notifications"
KEY = "journal/demo/@project/0000000001.json"


@pytest.fixture
async def hooked(tmp_path: Path) -> AsyncIterator[Stage]:
    """An index whose hook has a secret."""
    async with opened(tmp_path, "everyone", notifications={"secret": SECRET}) as stage:
        yield stage


async def post(stage: Stage, body: Any, **headers: str) -> httpx.Response:
    """Tell something."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with stage.client() as client:
        return await client.post(URL, content=content, headers=sent)


def bearer(secret: str = SECRET) -> dict[str, str]:
    """The secret itself."""
    return {"authorization": f"Bearer {secret}"}


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    """Only who knows the secret can make it."""
    digest = hmac.digest(secret.encode(), body, hashlib.sha256).hex()
    return {"x_pypicloud_signature": f"sha256={digest}"}


async def lose(stage: Stage) -> None:
    """Have the cache lack a project that the storage holds."""
    await stage.publish(make_wheel("demo", "1.0"))
    await stage.cache.clear()
    await stage.cache.set_built()


@pytest.mark.parametrize("shape", SHAPES)
async def test_what_every_store_sends_is_heeded(hooked: Stage, shape: str) -> None:
    """The project that it tells of is read, and shown."""
    await lose(hooked)
    answer = await post(hooked, SHAPES[shape](KEY), **bearer())
    assert answer.status_code == 200
    assert answer.json() == {
        "known": 0,
        "read": 1,
        "unadopted": 0,
        "ignored": 0,
        "repaired": 1,
        "dropped": 0,
        "broken": 0,
    }
    async with hooked.client() as client:
        assert "demo-1.0" in (await client.get("/simple/demo/")).text


async def test_a_signature_serves_as_well(hooked: Stage) -> None:
    """It is of these very bytes."""
    await lose(hooked)
    body = json.dumps({"keys": [KEY]}).encode()
    assert (await post(hooked, body, **signed(body))).json()["repaired"] == 1
    assert (await post(hooked, body + b" ", **signed(body))).status_code == 401
    assert (await post(hooked, body, **signed(body, "another-secret-entirely"))).status_code == 401
    for wrong in ("", "sha256=", signed(body)["x_pypicloud_signature"].upper()):
        answer = await post(hooked, body, x_pypicloud_signature=wrong)
        assert answer.status_code == 401


async def test_an_admin_may_tell_too(hooked: Stage) -> None:
    """Nobody else: not the anonymous, not a user, not whoever knows another secret."""
    body = {"keys": [KEY]}
    for headers in (
        {},
        bearer("a-secret-of-the-hook-7f3b"),
        bearer(""),
        {"authorization": "Bearer"},
    ):
        answer = await post(hooked, body, **headers)
        assert answer.status_code == 401
        assert SECRET not in answer.text
    async with hooked.client(*await hooked.user("bob")) as client:
        assert (await client.post(URL, json=body)).status_code == 403
        assert (await client.get(URL)).status_code == 403
    async with hooked.client(*await hooked.user("ada", admin=True)) as client:
        assert (await client.post(URL, json=body)).status_code == 200
        assert (await client.get(URL)).json()["read"] == 1


async def test_the_secret_is_never_taken_from_the_url(hooked: Stage) -> None:
    """Nor from a form."""
    async with hooked.client() as client:
        for query in (f"?secret={SECRET}", f"?token={SECRET}", f"?authorization=Bearer%20{SECRET}"):
            answer = await client.post(URL + query, json={"keys": []})
            assert answer.status_code == 401


async def test_without_a_secret_only_admins_may(stage: Stage) -> None:
    """An empty bearer is nobody's."""
    for headers in (bearer(), bearer(""), signed(b'{"keys": []}', "")):
        assert (await post(stage, b'{"keys": []}', **headers)).status_code == 401
    async with stage.client() as client:
        answer = await client.options(URL, headers={"WebHook-Request-Origin": "x.example"})
        assert answer.status_code == 400
    async with stage.client(*await stage.user("ada", admin=True)) as client:
        assert (await client.post(URL, json={"keys": []})).status_code == 200


async def test_the_handshake_of_event_grid_is_answered(hooked: Stage) -> None:
    """To whoever knows the secret; its code is said back."""
    code = "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"
    assert (await post(hooked, shapes.handshake(code))).status_code == 401
    answer = await post(hooked, shapes.handshake(code), **bearer())
    assert answer.status_code == 200
    assert answer.json() == {"validationResponse": code}


async def test_the_handshake_of_cloud_events_is_answered(hooked: Stage) -> None:
    """The origin may send; anything that is no host name is refused."""
    async with hooked.client() as client:
        origin = "eventgrid.azure.net"
        answer = await client.options(URL, headers={"WebHook-Request-Origin": origin})
        assert answer.status_code == 200
        assert answer.headers["webhook-allowed-origin"] == origin
        assert answer.headers["webhook-allowed-rate"] == "120"
        for wrong in ("", "a b", "<script>", "x" * 300):
            answer = await client.options(URL, headers={"WebHook-Request-Origin": wrong})
            assert answer.status_code == 400


async def test_nonsense_is_refused_and_what_cannot_be_done_is_to_come_again(hooked: Stage) -> None:
    """400 for what no trying again helps, 503 while the cache is not complete."""
    assert (await post(hooked, b"{", **bearer())).status_code == 400
    await hooked.cache.clear()
    answer = await post(hooked, {"keys": [KEY]}, **bearer())
    assert answer.status_code == 503
    assert "retry-after" in answer.headers

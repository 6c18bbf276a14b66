"""Passwords beyond ASCII, as clients really send them; and where absolute links lead."""

from __future__ import annotations

import base64

import httpx
import pytest
from pydantic import SecretStr

from app.config import Settings
from app.main import create_app
from tests.factories import form, make_wheel
from tests.serving import serving_ready

PASSWORD = "fünf gänse über köln"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_aut_1_passwords_in_utf_8_and_latin_1(settings: Settings, encoding: str) -> None:
    """Basic credentials are read as UTF-8, and as Latin-1 where they are not UTF-8."""
    chosen = settings.model_copy(update={"admin_password": SecretStr(PASSWORD)})
    pair = base64.b64encode(f"admin:{PASSWORD}".encode(encoding)).decode()
    with serving_ready(create_app(chosen)) as served:
        answer = httpx.get(f"{served.url}/simple/", headers={"Authorization": f"Basic {pair}"})
    assert answer.status_code == 200


def test_ljs_2_file_urls_are_absolute_on_loopback(settings: Settings) -> None:
    """Without a public URL the JSON API names the address of our own socket, never the Host."""
    made = make_wheel("demo", "1.0")
    secret = settings.admin_password
    admin = ("admin", secret.get_secret_value() if secret else "")
    with serving_ready(create_app(settings)) as served:
        httpx.post(
            f"{served.url}/legacy/",
            data=form(made, "demo", "1.0"),
            files={"content": (made.filename, made.content)},
            auth=admin,
        ).raise_for_status()
        page = httpx.get(
            f"{served.url}/pypi/demo/json", auth=admin, headers={"Host": "evil.example"}
        )
        url = page.json()["urls"][0]["url"]
        assert url == f"{served.url}/files/demo/{made.filename}"
        assert httpx.get(url, auth=admin).content == made.content

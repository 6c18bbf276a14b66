"""Real clients publish without a secret: the build's identity is exchanged for a token."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from pydantic import SecretStr

from app.access.oidc.options import IssuerOptions
from app.config import Settings
from app.main import create_app
from tests.access.oidc.bench import github
from tests.conftest import ADMIN
from tests.e2e.sandbox import Sandbox
from tests.factories import Made, make_sdist, make_wheel
from tests.servers import issuer as issuers
from tests.servers.issuer import Issuer
from tests.serving import serving, wait_until_ready

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Secure:
    """A service behind TLS, and the authority that its certificate is of."""

    url: str
    authority: Path
    issuer: Issuer

    @property
    def client(self) -> httpx.Client:
        """The admin's."""
        trust = ssl.create_default_context(cafile=str(self.authority))
        return httpx.Client(base_url=self.url, auth=ADMIN, verify=trust, timeout=60)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Secure]:
    """As clients insist: they ask for audience and token by https alone."""
    authority = trustme.CA()
    own = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    own.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    for pem in own.cert_chain_pems:
        pem.write_to_path(str(tmp_path / "chain.pem"), append=True)
    with issuers.running() as issuer:
        issuer.build = github(aud=None)
        issuer.build.pop("aud")
        settings = Settings(
            storage=f"file:{tmp_path}/packages",
            cache="memory:",
            access=f"sqlite+aiosqlite:///{tmp_path}/access.db",
            spool=tmp_path / "spool",
            admin_password=SecretStr(ADMIN[1]),
            inspectors=1,
            oidc_issuers=(IssuerOptions(issuer=issuer.url, provider="github"),),
            oidc_audience="index.example",
        )
        tls: dict[str, Any] = {
            "ssl_keyfile": tmp_path / "key.pem",
            "ssl_certfile": tmp_path / "chain.pem",
        }
        with serving(create_app(settings), **tls) as served:
            url = served.url.replace("http:", "https:")
            secure = Secure(url, tmp_path / "authority.pem", issuer)
            with secure.client as client:
                wait_until_ready(lambda: client.get("/health/ready").status_code)
            yield secure


def register(secure: Secure, project: str) -> None:
    """Its publisher is the build at the issuer."""
    publisher = {"provider": "github", "repository": "octo/spam", "workflow": "release.yml"}
    with secure.client as client:
        answer = client.post(f"/api/v1/projects/{project}/publishers", json=publisher)
    assert answer.status_code == 201, answer.text


def files_of(secure: Secure, project: str) -> dict[str, str]:
    """The files of a project, with who uploaded them."""
    with secure.client as client:
        listed = client.get(f"/api/v1/projects/{project}").json()["files"]
    return {file["filename"]: file["uploader"].partition(":")[0] for file in listed}


def written(folder: Path, *made: Made) -> list[Path]:
    """Distributions, where a client finds them."""
    folder.mkdir()
    for one in made:
        (folder / one.filename).write_bytes(one.content)
    return [folder / one.filename for one in made]


@pytest.mark.parametrize("known", [True, False])
def test_uv_publishes_from_a_build(sandbox: Sandbox, secure: Secure, known: bool) -> None:
    """``uv publish`` in what looks like GitHub Actions; who is not registered is told so."""
    if known:
        register(secure, "spam")
    made = (make_wheel("spam"), make_sdist("spam"))
    done = sandbox.run(
        "uv",
        *("publish", "--trusted-publishing", "always"),
        *("--publish-url", f"{secure.url}/legacy/"),
        *written(sandbox.folder / "dist", *made),
        GITHUB_ACTIONS="true",
        ACTIONS_ID_TOKEN_REQUEST_URL=f"{secure.issuer.url}/id-token?version=2",
        ACTIONS_ID_TOKEN_REQUEST_TOKEN="of the build",
        SSL_CERT_FILE=str(secure.authority),
    )
    if known:
        assert done.status == 0, str(done)
        assert files_of(secure, "spam") == {one.filename: "publisher" for one in made}
    else:
        assert done.status != 0
        assert "No publisher that is registered here" in done.flat, str(done)


def test_the_exchange_of_the_publishing_action_and_twine(sandbox: Sandbox, secure: Secure) -> None:
    """The action asks for the audience, its provider for a token, mints, and calls twine."""
    register(secure, "spam")
    bearer = {"Authorization": "bearer of the build"}
    trust = ssl.create_default_context(cafile=str(secure.authority))
    with httpx.Client(verify=trust, timeout=60) as action:
        told = action.get(f"{secure.url}/_/oidc/audience")
        assert told.is_success
        asked = action.get(
            f"{secure.issuer.url}/id-token",
            params={"audience": told.json()["audience"]},
            headers=bearer,
        )
        minted = action.post(
            f"{secure.url}/_/oidc/mint-token", json={"token": asked.json()["value"]}
        )
        refused = action.post(
            f"{secure.url}/_/oidc/mint-token", json={"token": asked.json()["value"]}
        )
    assert minted.is_success
    reasons = [f"{one['code']}: {one['description']}" for one in refused.json()["errors"]]
    assert reasons[0].startswith("invalid-reuse-token: ")
    wheel = make_wheel("spam")
    sandbox.must(
        "twine",
        *("upload", "--disable-progress-bar", "--repository-url", f"{secure.url}/legacy/"),
        *("--cert", str(secure.authority), "--username", "__token__"),
        *("--password", minted.json()["token"], *written(sandbox.folder / "dist", wheel)),
    )
    assert files_of(secure, "spam") == {wheel.filename: "publisher"}

"""Provenance from the upload to the pages: verified, kept byte for byte, shown where it may be."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.factories import Made, form, make_wheel
from tests.routes.publishing import Index, made_settings, running
from tests.servers.issuer import Issuer
from tests.servers.sigstore_root import Sigstore

SOURCE = "https://github.com/octo/spam"
TYPE = "application/vnd.pypi.integrity.v1+json"
PATH = "/integrity/spam/1.0/spam-1.0-py3-none-any.whl/provenance"
JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}


@dataclass(frozen=True)
class Attested:
    """An index whose roots are ours."""

    index: Index
    sigstore: Sigstore
    folder: Path

    def attestations(self, made: Made, **identity: str) -> str:
        """What the build at the issuer sends beside a file."""
        told = {
            "8": self.index.issuer.url,
            "12": SOURCE,
            "18": f"{SOURCE}/.github/workflows/release.yml@refs/tags/v1",
            **identity,
        }
        return json.dumps([self.sigstore.attest(made.filename, made.sha256, told)])

    def publish(self, made: Made) -> str:
        """Publish with an attestation; what was sent."""
        self.index.register()
        sent = self.attestations(made)
        answer = self.index.upload(self.index.minted(), made, attestations=sent)
        assert answer.status_code == 200, answer.text
        return sent


@pytest.fixture
def attested(tmp_path: Path, issuer: Issuer) -> Iterator[Attested]:
    """On loopback, where links are absolute."""
    sigstore = Sigstore()
    root = sigstore.write(tmp_path / "root.json")
    settings = made_settings(
        tmp_path, issuer, attestation_root=root, default_read=frozenset({"everyone"})
    )
    with running(settings, issuer) as index:
        yield Attested(index, sigstore, tmp_path)


def listed(index: Index) -> dict[str, object]:
    """The one file of the project's page."""
    (file,) = index.http.get("/simple/spam/", headers=JSON).json()["files"]
    found: dict[str, object] = file
    return found


def test_prv_1_provenance_of_what_was_attested_is_served(attested: Attested) -> None:
    """At the URL that the pages name, HTM-9 and JSN-11: absolute, of a secure origin."""
    sent = attested.publish(make_wheel("spam"))
    index = attested.index
    url = listed(index)["provenance"]
    assert url == f"{str(index.http.base_url).rstrip('/')}{PATH}"
    assert f'data-provenance="{url}"' in index.http.get("/simple/spam/").text
    answer = index.http.get(PATH)
    assert answer.headers["content-type"] == TYPE
    assert "Accept" in answer.headers["vary"]
    (bundle,) = answer.json()["attestation_bundles"]
    assert bundle["attestations"] == json.loads(sent)
    assert bundle["publisher"] == {
        "kind": "GitHub",
        "repository": "octo/spam",
        "workflow": "release.yml",
        "environment": None,
    }


def test_prv_2_types_and_errors(attested: Attested) -> None:
    """Two types, 406 for others, 404 with a message where there is none, HEAD, 304."""
    attested.publish(make_wheel("spam"))
    http = attested.index.http
    for accept, type in (
        ("*/*", TYPE),
        ("application/*", TYPE),
        (TYPE, TYPE),
        ("application/json", "application/json"),
        (f"{TYPE};q=0.1, application/json", "application/json"),
    ):
        answer = http.get(PATH, headers={"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (200, type)
    refused = http.get(PATH, headers={"Accept": "text/html"})
    assert (refused.status_code, refused.headers["vary"]) == (406, "Accept")
    tag = http.get(PATH).headers["etag"]
    assert http.get(PATH, headers={"If-None-Match": tag}).status_code == 304
    head = http.head(PATH)
    assert (head.status_code, head.content) == (200, b"")
    assert http.get(PATH.replace("/1.0/", "/1.0.0/")).status_code == 200
    for other in (
        PATH.replace("/1.0/", "/2.0/"),
        PATH.replace("spam-1.0", "spam-3.0"),
        PATH.replace("/spam/", "/eggs/"),
    ):
        missing = http.get(other)
        assert missing.status_code == 404
        assert isinstance(missing.json()["message"], str)


def test_prv_3_what_is_not_verified_is_not_shown(attested: Attested) -> None:
    """Of whoever is no publisher attestations are read over; of a publisher refused if wrong."""
    made, index = make_wheel("spam"), attested.index
    sent = attested.attestations(made)
    plain = index.admin.post(
        "/legacy/",
        data=form(made, "spam", "1.0", attestations=sent),
        files={"content": (made.filename, made.content)},
    )
    assert plain.status_code == 200
    assert "provenance" not in listed(index)
    assert index.http.get(PATH).status_code == 404


def test_upl_20_a_wrong_attestation_refuses_the_file_with_it(attested: Attested) -> None:
    """And leaves nothing behind: no project, no bytes, no name taken."""
    made, index = make_wheel("spam"), attested.index
    index.register()
    token = index.minted()
    evil = attested.attestations(made, **{"12": "https://github.com/evil/spam"})
    for sent in (evil, "[]", "x", "[{}]"):
        answer = index.upload(token, made, attestations=sent)
        assert answer.status_code == 400
        assert answer.json()["message"].startswith("attestations: ")
    assert index.http.get("/simple/spam/").status_code == 404
    blobs = attested.folder / "packages" / "blobs"
    assert not blobs.exists() or not [path for path in blobs.rglob("*") if path.is_file()]
    right = attested.attestations(made)
    assert index.upload(token, made, attestations=right).status_code == 200


def test_i4_provenance_survives_the_loss_of_the_cache(
    attested: Attested, tmp_path: Path, issuer: Issuer
) -> None:
    """Pages and provenance are byte-equal after a reindex; the event has its digest."""
    attested.publish(make_wheel("spam"))
    before = attested.index.http.get(PATH).content
    base = str(attested.index.http.base_url).rstrip("/")
    page = attested.index.http.get("/simple/spam/", headers=JSON).text.replace(base, "")
    (kept,) = (tmp_path / "packages" / "blobs").rglob("*.provenance")
    assert kept.read_bytes() == before
    (event,) = (tmp_path / "packages" / "journal").rglob("spam-1.0*/*.json")
    digest = hashlib.sha256(before).hexdigest()
    assert json.loads(event.read_bytes())["publication"]["provenance_sha256"] == digest
    settings = made_settings(
        tmp_path,
        issuer,
        cache=f"sqlite+aiosqlite:///{tmp_path}/another.db",
        spool=tmp_path / "other",
        default_read=frozenset({"everyone"}),
    )
    with running(settings, issuer) as again:
        _rebuilt(again)
        assert again.http.get(PATH).content == before
        url = str(again.http.base_url).rstrip("/")
        other = again.http.get("/simple/spam/", headers=JSON).text.replace(url, "")
        assert _without_serial(other) == _without_serial(page)


def test_htm_9_jsn_11_without_a_secure_origin_no_url_is_shown(
    attested: Attested, tmp_path: Path, issuer: Issuer
) -> None:
    """Behind a public URL of plain http provenance has no link; of https it has that one."""
    attested.publish(make_wheel("spam"))
    for public, shown in (("http://pypi.example.com", None), ("https://pypi.example.com", True)):
        settings = made_settings(
            tmp_path,
            issuer,
            spool=tmp_path / "other",
            public_url=public,
            default_read=frozenset({"everyone"}),
        )
        with running(settings, issuer) as index:
            headers = {"Host": "pypi.example.com", **JSON}
            (file,) = index.http.get("/simple/spam/", headers=headers).json()["files"]
            assert file.get("provenance") == (f"{public}{PATH}" if shown else None)


def _rebuilt(index: Index) -> None:
    """Reindexed to its end."""
    answer = index.admin.post("/api/v1/reindex")
    assert answer.status_code == 202
    deadline = time.monotonic() + 60
    while index.admin.get("/api/v1/reindex").json()["running"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _without_serial(page: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(page)
    found.pop("meta")
    return found


def test_the_bytes_that_were_kept_are_the_bytes_that_are_served(attested: Attested) -> None:
    """Changed in the storage, they are not served."""
    attested.publish(make_wheel("spam"))
    (kept,) = (attested.folder / "packages" / "blobs").rglob("*.provenance")
    kept.chmod(0o600)
    kept.write_bytes(kept.read_bytes().replace(b"octo", b"evil"))
    answer: httpx.Response = attested.index.http.get(PATH)
    assert answer.status_code == 500
    assert b"evil" not in answer.content

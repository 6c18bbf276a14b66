"""Attestations: what is verified against roots of our own, and every way to be wrong (PEP 740)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pypi_attestations import Provenance

from app import errors
from app.upload.attestations import Attestor, Signer, possible
from tests.servers.sigstore_root import PUBLISH, SLSA, Sigstore

FILENAME = "spam-1.0-py3-none-any.whl"
SHA256 = hashlib.sha256(b"spam").hexdigest()
ISSUER = "https://issuer.example"
SOURCE = "https://github.com/octo/spam"
CONFIG = f"{SOURCE}/.github/workflows/release.yml@refs/tags/v1"
IDENTITY = {"8": ISSUER, "12": SOURCE, "18": CONFIG}
SIGNER = Signer(
    shown={
        "kind": "GitHub",
        "repository": "octo/spam",
        "workflow": "release.yml",
        "environment": None,
    },
    issuer=ISSUER,
    source=SOURCE,
    configs=(CONFIG, f"{SOURCE}/.github/workflows/release.yml@{'a' * 40}"),
)
Attestation = dict[str, Any]
TEXTS = (
    *("", "[]", "{}", "null", "[{}]", "[5]", "[null]", '[{"version": 1}]', "nonsense"),
    *("[" * 9999, '"' + "x" * 2**20 + '"'),
)


@pytest.fixture(scope="module")
def sigstore() -> Sigstore:
    """The roots that are trusted."""
    return Sigstore()


@pytest.fixture(scope="module")
def attestor(sigstore: Sigstore, tmp_path_factory: pytest.TempPathFactory) -> Attestor:
    """Verifies against them."""
    return Attestor(sigstore.write(tmp_path_factory.mktemp("root") / "root.json"))


async def provenance(attestor: Attestor, *sent: Attestation, signer: Signer = SIGNER) -> bytes:
    """What is kept of them."""
    return await attestor.provenance(
        json.dumps(list(sent)), filename=FILENAME, sha256=SHA256, signer=signer
    )


async def refused(attestor: Attestor, *sent: Attestation, signer: Signer = SIGNER) -> str:
    """Why they are refused."""
    with pytest.raises(errors.InvalidUpload, match=r"^attestations: ") as raised:
        await provenance(attestor, *sent, signer=signer)
    return str(raised.value)


async def test_an_attestation_of_the_publisher_is_kept_as_it_was_sent(
    sigstore: Sigstore, attestor: Attestor
) -> None:
    """With the publisher it was verified to be of, in the shape that clients read (PRV-1)."""
    one = sigstore.attest(FILENAME, SHA256, IDENTITY)
    two = sigstore.attest(FILENAME, SHA256, IDENTITY, predicate=SLSA)
    kept = json.loads(await provenance(attestor, one, two))
    assert kept["version"] == 1
    (bundle,) = kept["attestation_bundles"]
    assert bundle == {"publisher": dict(SIGNER.shown), "attestations": [one, two]}
    read = Provenance.model_validate(kept)
    assert read.attestation_bundles[0].publisher.kind == "GitHub"


def flipped(value: str) -> str:
    """Base64 of other bytes of the same length."""
    raw = bytearray(base64.b64decode(value))
    raw[len(raw) // 2] ^= 1
    return base64.b64encode(bytes(raw)).decode()


def _in(attestation: Attestation, *path: str | int) -> Any:
    for step in path:
        attestation = attestation[step]  # type: ignore[index]
    return attestation


ENTRY = ("verification_material", "transparency_entries", 0)


@pytest.mark.parametrize(
    "path",
    [
        ("envelope", "signature"),
        ("envelope", "statement"),
        ("verification_material", "certificate"),
        (*ENTRY, "canonicalizedBody"),
        (*ENTRY, "inclusionProof", "rootHash"),
        (*ENTRY, "inclusionPromise", "signedEntryTimestamp"),
        (*ENTRY, "logId", "keyId"),
    ],
    ids=lambda path: str(path[-1]),
)
async def test_upl_20_a_changed_bit_anywhere_is_refused(
    sigstore: Sigstore, attestor: Attestor, path: tuple[str | int, ...]
) -> None:
    """Signature, statement, certificate, and what the log said of them."""
    one = sigstore.attest(FILENAME, SHA256, IDENTITY)
    _in(one, *path[:-1])[path[-1]] = flipped(_in(one, *path))
    await refused(attestor, one)


@pytest.mark.parametrize(
    "identity",
    [
        {**IDENTITY, "8": "https://another.example"},
        {**IDENTITY, "12": "https://github.com/evil/spam"},
        {**IDENTITY, "18": CONFIG.replace("release.yml", "other.yml")},
        {**IDENTITY, "18": CONFIG.replace("v1", "v2")},
        {"8": ISSUER, "12": SOURCE},
        {"12": SOURCE, "18": CONFIG},
        {},
    ],
)
async def test_upl_20_an_attestation_of_another_build_is_refused(
    sigstore: Sigstore, attestor: Attestor, identity: dict[str, str]
) -> None:
    """It is valid, but not of the publisher that uploads."""
    await refused(attestor, sigstore.attest(FILENAME, SHA256, identity))


async def test_upl_20_an_attestation_of_another_file_is_refused(
    sigstore: Sigstore, attestor: Attestor
) -> None:
    """Name and digest are both of this very file."""
    other = hashlib.sha256(b"eggs").hexdigest()
    assert "another file" in await refused(attestor, sigstore.attest(FILENAME, other, IDENTITY))
    named = sigstore.attest("eggs-1.0-py3-none-any.whl", SHA256, IDENTITY)
    assert "another file" in await refused(attestor, named)


async def test_upl_20_roots_of_others_are_not_trusted(
    sigstore: Sigstore, attestor: Attestor
) -> None:
    """Neither another Sigstore's, nor with the public ones ours."""
    await refused(attestor, Sigstore().attest(FILENAME, SHA256, IDENTITY))
    await refused(Attestor(), sigstore.attest(FILENAME, SHA256, IDENTITY))


@pytest.mark.parametrize(
    "statement",
    [
        {"predicateType": "https://example.com/whatever"},
        {"predicateType": None},
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"subject": []},
        {"subject": [{"name": FILENAME, "digest": {"sha256": SHA256}}] * 2},
        {"subject": [{"name": FILENAME, "digest": {"sha512": SHA256}}]},
        {"subject": [{"digest": {"sha256": SHA256}}]},
        {"subject": "spam"},
    ],
)
async def test_upl_20_another_statement_is_refused(
    sigstore: Sigstore, attestor: Attestor, statement: dict[str, Any]
) -> None:
    """One subject, of a kind that is known."""
    await refused(attestor, sigstore.attest(FILENAME, SHA256, IDENTITY, statement=statement))


async def test_upl_20_one_attestation_of_each_predicate_type(
    sigstore: Sigstore, attestor: Attestor
) -> None:
    """Two of one type are refused, as are three at all; so is a bad one beside a good one."""
    good, again = (sigstore.attest(FILENAME, SHA256, IDENTITY, predicate=PUBLISH) for _ in "12")
    assert "one predicate type" in await refused(attestor, good, again)
    assert "one predicate type" in await refused(attestor, good, again, good)
    bad = sigstore.attest(FILENAME, SHA256, {**IDENTITY, "8": "x"}, predicate=SLSA)
    await refused(attestor, good, bad)


@pytest.mark.parametrize(
    "text",
    TEXTS,
    ids=lambda text: text[:20],
)
async def test_upl_20_what_is_no_attestation_is_refused(attestor: Attestor, text: str) -> None:
    """The empty array too."""
    with pytest.raises(errors.InvalidUpload, match=r"^attestations: "):
        await attestor.provenance(text, filename=FILENAME, sha256=SHA256, signer=SIGNER)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda one: one["verification_material"].update(transparency_entries=[]),
        lambda one: one["verification_material"].update(
            transparency_entries=one["verification_material"]["transparency_entries"] * 2
        ),
        lambda one: one["verification_material"].update(certificate="AAAA"),
        lambda one: one["verification_material"].update(certificate="!"),
        lambda one: _in(one, *ENTRY).pop("inclusionProof"),
        lambda one: _in(one, *ENTRY).pop("inclusionPromise"),
        lambda one: _in(one, *ENTRY).update(logIndex="x"),
        lambda one: _in(one, *ENTRY).update(integratedTime="9" * 18),
        lambda one: _in(one, *ENTRY, "inclusionProof").update(treeSize="0"),
        lambda one: _in(one, *ENTRY, "inclusionProof").update(checkpoint={"envelope": "x"}),
        lambda one: _in(one, *ENTRY, "kindVersion").update(kind="hashedrekord"),
        lambda one: one.update(version=2),
        lambda one: one.pop("envelope"),
    ],
)
async def test_upl_20_a_malformed_attestation_is_refused(
    sigstore: Sigstore, attestor: Attestor, spoil: Callable[[Attestation], object]
) -> None:
    """Whatever is missing or of another kind: 400, never an error of ours."""
    one = sigstore.attest(FILENAME, SHA256, IDENTITY)
    spoil(one)
    await refused(attestor, one)


async def test_a_person_signs_with_an_address(sigstore: Sigstore, attestor: Attestor) -> None:
    """A publisher at Google is known by its address, which a build's certificate lacks."""
    google = Signer(shown={"kind": "Google"}, issuer=ISSUER, email="ci@octo.example")
    await refused(attestor, sigstore.attest(FILENAME, SHA256, IDENTITY), signer=google)


def test_the_public_roots_come_with_the_library(tmp_path: Path) -> None:
    """Nothing is fetched for them; a file that is none is refused at the start."""
    assert possible()
    Attestor().load()
    (tmp_path / "root.json").write_text("{}")
    with pytest.raises(ValueError, match=r"."):
        Attestor(tmp_path / "root.json").load()

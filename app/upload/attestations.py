"""Attestations (PEP 740): every one verified, or the upload refused. Nothing is fetched.

What is trusted comes from a file: Sigstore's public roots as the library ships them, or a
company's own. The libraries are an extra; without them nothing can be verified.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from app import errors

logger = logging.getLogger(__name__)

LIMIT = 2**20
"""Characters of the field."""
MOST = 2
"""Predicate types that there are (PEP 740): of publishing, and of SLSA's provenance."""
BUNDLES = 16
"""Publishers of one file that are looked at."""
_STATEMENT = "https://in-toto.io/Statement/v1"
_STORE = ("_store", "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev", "trusted_root.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Whom a certificate must name: the publisher that uploads.

    ``shown`` is how provenance names it (PEP 740). Of the other fields a certificate has all
    that are not empty; of ``configs`` one.
    """

    shown: Mapping[str, str | None]
    issuer: str
    source: str = ""
    configs: Sequence[str] = ()
    email: str = ""


def possible() -> bool:
    """Whether the libraries are there."""
    return find_spec("pypi_attestations") is not None


class Attestor:
    """Verifies attestations against roots that it was given."""

    def __init__(self, trust_root: Path | None = None) -> None:
        self._trust_root = trust_root
        self._loading = threading.Lock()
        self._verifier: Any = None

    def load(self) -> None:
        """Read the roots; blocks, for the libraries are large. Else the first use does it.

        Raises OSError and ValueError for a file that has no roots.
        """
        with self._loading:
            if self._verifier is not None:
                return
            from sigstore.errors import Error
            from sigstore.models import TrustedRoot
            from sigstore.verify import Verifier

            path = str(self._trust_root or files("sigstore").joinpath(*_STORE))
            try:
                self._verifier = Verifier(trusted_root=TrustedRoot.from_file(path))
            except Error as wrong:
                raise ValueError(f"{path} is no trusted root: {wrong}") from wrong

    async def provenance(self, text: str, *, filename: str, sha256: str, signer: Signer) -> bytes:
        """The provenance to keep. Raises errors.InvalidUpload (UPL-20)."""
        sent = listed(text)
        return await asyncio.to_thread(self._provenance, sent, filename, sha256, signer)

    async def publishers(self, content: bytes, *, filename: str, sha256: str) -> tuple[str, ...]:
        """The publishers in a provenance (PEP 740) one of whose attestations holds for the file.

        Each like ``github:owner/repository``. Raises ValueError for what is no provenance.
        """
        return await asyncio.to_thread(self._publishers, content, filename, sha256)

    def _publishers(self, content: bytes, filename: str, sha256: str) -> tuple[str, ...]:
        self.load()
        from pypi_attestations import Provenance

        found = []
        for bundle in Provenance.model_validate_json(content).attestation_bundles[:BUNDLES]:
            some = bundle.attestations[:MOST]
            if any(self._holds(one, bundle.publisher, filename, sha256) for one in some):
                found.append(_called(bundle.publisher))
        return tuple(found)

    def _holds(self, attestation: Any, publisher: Any, filename: str, sha256: str) -> bool:
        """Whether it is signed by a build of the publisher, and about this file."""
        try:
            # The library itself would verify by its own roots alone.
            self._verified(attestation, filename, sha256, publisher._as_policy)
        except errors.InvalidUpload:
            return False
        return True

    def _provenance(self, sent: Sequence[Any], filename: str, sha256: str, signer: Signer) -> bytes:
        self.load()
        policy = partial(_policy, signer)
        kinds = [self._verified(one, filename, sha256, policy) for one in sent]
        if len(set(kinds)) < len(kinds):
            refuse("Multiple attestations of one predicate type.")
        bundle = {"publisher": dict(signer.shown), "attestations": list(sent)}
        provenance = {"version": 1, "attestation_bundles": [bundle]}
        return json.dumps(provenance, separators=(",", ":"), sort_keys=True).encode()

    def _verified(self, sent: Any, filename: str, sha256: str, policy: Callable[[], Any]) -> str:
        """The predicate type of one that holds; errors.InvalidUpload."""
        from pypi_attestations import Attestation

        try:
            attestation = Attestation.model_validate(sent)
            entries = attestation.verification_material.transparency_entries
            kind, payload = self._verifier.verify_dsse(attestation.to_bundle(), policy())
        except Exception as wrong:  # the libraries promise none that are all there can be
            logger.info("an attestation is refused: %s", type(wrong).__name__)
            refuse("One is malformed, not valid, or not of the publisher that uploads.")
        if len(entries) != 1:
            refuse("One has more than one transparency entry.")
        if kind != "application/vnd.in-toto+json":
            refuse("An attestation is not an in-toto statement.")
        return check_statement(payload, filename, sha256)


async def opened(trust_root: Path | None) -> Attestor | None:
    """Whoever verifies; None where the libraries are not installed.

    Raises errors.Misconfigured for a file of roots that is none.
    """
    if not possible():
        return None
    attestor = Attestor(trust_root)
    if trust_root is not None:
        try:
            await asyncio.to_thread(attestor.load)
        except (OSError, ValueError) as wrong:
            raise errors.Misconfigured(f"PYPICLOUD_ATTESTATION_ROOT: {wrong}") from None
    return attestor


def listed(text: str) -> Sequence[Any]:
    """The attestations that were sent, unread."""
    if len(text) > LIMIT:
        refuse("The attestations are too long.")
    try:
        sent = json.loads(text)
    except (ValueError, RecursionError):
        refuse("The attestations are not JSON.")
    if not isinstance(sent, list) or not sent:
        refuse("The attestations are an array that is not empty.")
    if len(sent) > MOST:
        refuse("Multiple attestations of one predicate type.")
    return sent


def predicates() -> frozenset[str]:
    """The types of predicates that the library knows."""
    from pypi_attestations import AttestationType

    return frozenset(AttestationType)


def check_statement(payload: bytes, filename: str, sha256: str) -> str:
    """The predicate type of a statement about this very file."""
    try:
        statement = json.loads(payload)
        (subject,) = statement["subject"]
        about, digest = subject["name"], subject["digest"]["sha256"]
        kind, version = statement["predicateType"], statement["_type"]
    except (ValueError, KeyError, TypeError, RecursionError):
        refuse("An attestation's statement is malformed.")
    if version != _STATEMENT or kind not in predicates():
        refuse("An attestation's predicate type is not known.")
    if not isinstance(about, str) or about != filename or digest != sha256:
        refuse("An attestation is about another file.")
    return str(kind)


def refuse(reason: str) -> NoReturn:
    """End the upload."""
    raise errors.InvalidUpload(f"attestations: {reason}")


def _called(publisher: Any) -> str:
    """By what names it: a repository, an address, a project's id."""
    of = ("repository", "email", "project_id")
    who = next((getattr(publisher, name) for name in of if hasattr(publisher, name)), "")
    return f"{publisher.kind}:{who}".lower()[:500]


def _policy(signer: Signer) -> Any:
    from sigstore.verify import policy

    if signer.email:
        return policy.Identity(identity=signer.email, issuer=signer.issuer)
    return policy.AllOf(
        [
            policy.OIDCIssuerV2(signer.issuer),
            policy.OIDCSourceRepositoryURI(signer.source),
            policy.AnyOf([policy.OIDCBuildConfigURI(config) for config in signer.configs]),
        ]
    )

"""The publisher behind an upload with a minted token, and what its build attests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from packaging.utils import NormalizedName

from app import errors
from app.access.ledger import Ledger, Publisher
from app.access.oidc.providers import PROVIDERS
from app.index import Index
from app.models import Identity
from app.upload.attestations import Attestor, Signer
from app.upload.distribution import Distribution
from app.upload.form import Fields

KIND = "publisher"
_REMOVED = "The trusted publisher of this token is not registered for this project any more."


@dataclass(frozen=True, slots=True)
class Uploading:
    """A publisher that uploads, and the claims that its token was minted for."""

    publisher: Publisher
    claims: Mapping[str, Any]


async def generation_of(index: Index, project: NormalizedName) -> str | None:
    """The generation that publishers are bound to, None where none can be yet.

    That is a name that is free, and also one whose first upload claimed it and got no further.
    """
    try:
        return (await index.present(project)).generation
    except errors.ProjectNotFound:
        return None


async def publisher_of(
    identity: Identity | None, ledger: Ledger, index: Index, project: NormalizedName
) -> Uploading | None:
    """The publisher as it is registered now (step 17), None for whoever is none.

    Raises errors.Forbidden where it was removed after the token was minted, or its project
    is another by now; errors.Unauthenticated where the token was revoked.
    """
    if identity is None or identity.actor.kind != KIND or identity.credential is None:
        return None
    token = await ledger.tokens.find(identity.credential)
    if token is None:
        raise errors.Unauthenticated
    id = token.claims.get("publishers", {}).get(project)
    publisher = await ledger.publishers.find(id) if id else None
    if publisher is None or publisher.project != project:
        raise errors.Forbidden(_REMOVED)
    if publisher.generation == await generation_of(index, project):
        return Uploading(publisher, token.claims["claims"])
    if publisher.generation is None and await _began(identity, index, project):
        return Uploading(publisher, token.claims["claims"])
    raise errors.Forbidden(_REMOVED)


async def _began(identity: Identity, index: Index, project: NormalizedName) -> bool:
    """Whether this publisher's upload began the project, and binding it is still to come."""
    try:
        found = await index.present(project)
    except errors.ProjectNotFound:
        return False
    return any(file.uploader == identity.actor for file in found.files)


async def attested(
    fields: Fields,
    distribution: Distribution,
    uploading: Uploading | None,
    attestor: Attestor | None,
) -> Distribution:
    """The distribution with the provenance of its attestations, every one verified (UPL-20).

    Attestations of anybody but a publisher that they can name are read over, and so they are
    where nothing here can verify them.
    """
    sent = fields.get("attestations", ())
    signer = None if uploading is None else signer_of(uploading)
    if not sent or signer is None or attestor is None:
        return distribution
    if len(sent) > 1:
        raise errors.InvalidUpload("attestations: The field came twice.")
    provenance = await attestor.provenance(
        sent[0],
        filename=distribution.filename,
        sha256=distribution.hashes.sha256,
        signer=signer,
    )
    return replace(distribution, provenance=provenance)


def signer_of(uploading: Uploading) -> Signer | None:
    """Whom the certificates of a build name; None where attestations do not know its provider."""
    publisher = uploading.publisher
    told = {name: str(value) for name, value in uploading.claims.items()}
    conditions = publisher.conditions
    kind = PROVIDERS[publisher.provider].kind
    shown = {"kind": kind, "environment": conditions.get("environment")}
    match publisher.provider:
        case "github":
            source = f"https://github.com/{told['repository']}"
            file = f"{source}/.github/workflows/{conditions['workflow']}"
            shown |= {"repository": told["repository"], "workflow": conditions["workflow"]}
            configs = [f"{file}@{told['ref']}", f"{file}@{told['sha']}"]
        case "gitlab":
            source = f"{publisher.issuer}/{told['project_path']}"
            file = f"{source}//{conditions['workflow']}"
            shown |= {
                "repository": told["project_path"],
                "workflow_filepath": conditions["workflow"],
            }
            configs = [f"{file}@{told['ref_path']}", f"{file}@{told['sha']}"]
        case "google":
            email = told["email"]
            return Signer(
                shown={"kind": kind, "email": email}, issuer=publisher.issuer, email=email
            )
        case _:
            return None
    return Signer(shown=shown, issuer=publisher.issuer, source=source, configs=configs)

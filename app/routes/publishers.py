"""``/api/v1/projects/{project}/publishers``: who may mint upload tokens for a project."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from ulid import ULID

from app import errors
from app.access import policy
from app.access.ledger import Publisher
from app.access.oidc.conditions import checked
from app.access.oidc.issuers import configured
from app.access.oidc.options import Provider
from app.access.oidc.providers import PROVIDERS
from app.dependencies import (
    IdentityDep,
    IndexDep,
    LedgerDep,
    MintingDep,
    ProjectDep,
    authorize,
    get_proof,
)
from app.models import Identity, Permission
from app.routes.recording import RecorderDep
from app.routes.router import Router
from app.routes.schemas import FAILURES
from app.routes.trusted import generation_of

router = Router(
    prefix="/api/v1/projects/{project}/publishers",
    tags=["trusted publishing"],
    responses=FAILURES,
)

MOST = 100
"""Publishers of one project."""
Id = Annotated[str, Path(max_length=64)]


class PublisherRequest(BaseModel):
    """A publisher to register; what else is sent are the provider's own conditions."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "provider": "github",
                "repository": "octo/spam",
                "workflow": "release.yml",
                "environment": "release",
            }
        },
    )
    __pydantic_extra__: dict[str, str | None]

    provider: Provider
    issuer: str | None = Field(default=None, description="where it is not the only one")
    claims: dict[str, str] | None = Field(default=None, description="of `custom` providers")


class PublisherLine(BaseModel):
    """A publisher. ``pending``: its project does not exist yet."""

    id: str
    project: str
    provider: str
    issuer: str
    conditions: dict[str, str | None]
    pinned: dict[str, str] = Field(description="immutable ids, from its first use on")
    pending: bool
    added: datetime
    added_by: str

    @classmethod
    def of(cls, publisher: Publisher) -> PublisherLine:
        """The line of a publisher."""
        return cls(
            id=publisher.id,
            project=publisher.project,
            provider=publisher.provider,
            issuer=publisher.issuer,
            conditions=dict(publisher.conditions),
            pinned=dict(publisher.pinned),
            pending=publisher.generation is None,
            added=publisher.added,
            added_by=f"{publisher.added_by.kind}:{publisher.added_by.id}",
        )


@dataclass(frozen=True, slots=True)
class Registrar:
    """Who registers, and the project's generation; None: the name is free."""

    identity: Identity
    generation: str | None


async def get_registrar(
    request: Request, project: ProjectDep, identity: IdentityDep, index: IndexDep
) -> Registrar:
    """Whoever manages the project, or might begin it.

    A token that may upload cannot give itself a successor: it must be made to manage, and for
    a name that is free, to claim names.
    """
    if identity is None:
        raise errors.Unauthenticated
    generation = await generation_of(index, project)
    wanted = Permission.UPLOAD if generation is None else Permission.MANAGE
    scope = identity.scope
    if scope is not None and (
        scope.sufficient or not scope.covers(Permission.MANAGE, project, generation)
    ):
        raise errors.Forbidden(f"This token isn't made to manage project '{project}'.")
    if scope is not None and generation is None and not scope.creates:
        raise errors.Forbidden(f"This token isn't made to claim '{project}', a name that is free.")
    # What the scope leaves was looked at; now the rights behind it.
    await authorize(request, replace(identity, scope=None), wanted, project, generation)
    return Registrar(identity, generation)


RegistrarDep = Annotated[Registrar, Depends(get_registrar)]


@router.get("", summary="List a project's trusted publishers")
async def list_publishers(
    project: ProjectDep, registrar: RegistrarDep, ledger: LedgerDep
) -> list[PublisherLine]:
    """Those of the project as it stands, or those that wait for its beginning."""
    return [
        PublisherLine.of(one)
        for one in await ledger.publishers.of(project)
        if one.generation == registrar.generation
    ]


@router.post(
    "",
    status_code=201,
    summary="Register a trusted publisher",
    dependencies=[Depends(get_proof)],
)
async def add_publisher(
    project: ProjectDep,
    asked: PublisherRequest,
    registrar: RegistrarDep,
    minting: MintingDep,
    ledger: LedgerDep,
    record: RecorderDep,
) -> PublisherLine:
    """Let builds that fit these conditions upload; for a free name, once they come first."""
    if minting is None:
        raise errors.Invalid("Trusted publishing is not enabled here.")
    issuer = configured(minting.issuers, asked.provider, asked.issuer)
    if issuer is None:
        raise errors.Invalid(
            "issuer: Name one that this index knows (PYPICLOUD_OIDC_ISSUERS) and that is of "
            f"provider '{asked.provider}'."
        )
    given = {**(asked.__pydantic_extra__ or {}), **(asked.claims or {})}
    publisher = Publisher(
        id=str(ULID()),
        project=project,
        generation=registrar.generation,
        provider=asked.provider,
        issuer=issuer.url,
        conditions=checked(PROVIDERS[asked.provider], given),
        added=datetime.now(UTC),
        added_by=registrar.identity.actor,
    )
    if len(await ledger.publishers.of(project)) >= MOST:
        raise errors.Invalid(f"A project has {MOST} publishers at most.")
    await ledger.publishers.add(publisher)
    line = PublisherLine.of(publisher)
    await record("publisher.add", f"project:{project}", after=line.model_dump(mode="json"))
    return line


@router.delete(
    "/{id}",
    status_code=204,
    summary="Remove a trusted publisher",
    dependencies=[Depends(get_proof)],
)
async def remove_publisher(
    project: ProjectDep, id: Id, registrar: RegistrarDep, ledger: LedgerDep, record: RecorderDep
) -> None:
    """Its tokens end at once. One that is pending is removed by whoever added it, or an admin."""
    publisher = await ledger.publishers.find(id)
    if publisher is None or publisher.project != project:
        raise errors.PublisherNotFound(id)
    if publisher.generation != registrar.generation and publisher.generation is not None:
        raise errors.PublisherNotFound(id)
    own = publisher.added_by == registrar.identity.actor
    if publisher.generation is None and not own and not policy.administers(registrar.identity):
        raise errors.Forbidden("Somebody else registered this publisher.")
    if not await ledger.publishers.remove(id):
        raise errors.PublisherNotFound(id)
    before = PublisherLine.of(publisher).model_dump(mode="json")
    await record("publisher.remove", f"project:{project}", before=before)

"""What somebody manages: their projects, and the trusted publishers of those."""

from __future__ import annotations

from dataclasses import dataclass

from app.access import policy
from app.access.base import Access
from app.access.ledger import Ledger, Publisher
from app.access.oidc.minting import Minting
from app.index import Index
from app.models import Identity, Permission, ProjectSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Managed:
    """``projects`` that somebody manages, and the ``publishers`` that they may remove."""

    projects: list[ProjectSummary]
    publishers: list[Publisher]


async def projects_of(
    identity: Identity, index: Index, access: Access, defaults: policy.Defaults
) -> list[ProjectSummary]:
    """The projects that a user manages, by name; an admin manages all.

    Raises errors.Unavailable.
    """
    every = (await index.listing()).projects
    if policy.administers(identity):
        return list(every)
    granted = await access.all_grants()
    # Nobody manages by default, so most projects need not be looked at.
    some = {
        name
        for (name, _), grants in granted.items()
        if any(Permission.MANAGE in rights for rights in grants.values())
    }
    return [
        one
        for one in every
        if one.name in some
        and policy.allows(
            identity,
            Permission.MANAGE,
            one.name,
            one.generation,
            policy.of(granted, one.name, one.generation),
            defaults,
        )
    ]


async def managed(
    identity: Identity,
    index: Index,
    access: Access,
    defaults: policy.Defaults,
    minting: Minting,
    ledger: Ledger,
) -> Managed:
    """The same, with the publishers of these projects and those of names that are free.

    Of the latter one's own alone, to an admin all of them: as the API has them removed. Only
    issuers that the settings name are looked through. Raises errors.Unavailable.
    """
    projects = await projects_of(identity, index, access, defaults)
    own = {one.name: one.generation for one in projects}
    taken = {one.name for one in (await index.listing()).projects}
    admin = policy.administers(identity)

    def shown(one: Publisher) -> bool:
        if one.generation is not None:
            return own.get(one.project) == one.generation
        mine = admin or one.added_by == identity.actor
        return mine and one.project not in taken

    found = [one for url in minting.issuers for one in await ledger.publishers.at(url)]
    publishers = sorted(filter(shown, found), key=lambda one: (one.project, one.added, one.id))
    return Managed(projects=projects, publishers=publishers)

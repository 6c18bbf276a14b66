"""What access does when a name is claimed: what waited for the project is bound to it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends

from app.access.base import Access
from app.access.ledger import Ledger
from app.dependencies import AccessDep, LedgerDep
from app.index.publish import Published


class Claims:
    """Grants, scopes of tokens and publishers, kept in step with the generations of projects."""

    def __init__(self, access: Access, ledger: Ledger) -> None:
        self._access: Any = access
        self._ledger = ledger

    async def follow(self, published: Published, publisher: str | None = None) -> None:
        """Bind what waited for the project; an upload that is repeated does what the first did not.

        What a former generation had is dropped only now: until the name is taken again the
        project may be restored, and then has its grants. ``publisher`` is the id of the one
        that uploaded, if one did.
        """
        if published.new and not published.claimed:
            return
        name, generation = published.file.project, published.file.generation
        if hasattr(self._access, "bind"):
            if published.former is not None:
                await self._access.forget(name, published.former)
            await self._access.bind(name, generation)
        await self._drop_strangers(published, publisher)
        await self._ledger.tokens.bind(name, generation)
        await self._ledger.publishers.bind(name, generation)

    async def _drop_strangers(self, published: Published, publisher: str | None) -> None:
        """Publishers that others registered for the name while it was free wait in vain."""
        for one in await self._ledger.publishers.of(published.file.project):
            known = one.id == publisher or one.added_by == published.file.uploader
            if one.generation is None and not known:
                await self._ledger.publishers.remove(one.id)


async def get_claims(access: AccessDep, ledger: LedgerDep) -> Claims:
    """Follows what is claimed."""
    return Claims(access, ledger)


ClaimsDep = Annotated[Claims, Depends(get_claims)]

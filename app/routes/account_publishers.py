"""``/account/publishers``: trusted publishers of one's projects, added and removed by forms.

Both do what ``/api/v1`` does, and ask for a login within the last half hour.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Response
from pydantic import ValidationError

from app import answers, errors, names
from app.access.oidc.providers import PROVIDERS
from app.routes import browsing, publishers
from app.routes.account_page import PATH, OwnDep
from app.routes.browsing import Form, one
from app.routes.publishers import PublisherRequest
from app.routes.web.viewing import pages

router = pages()


@router.post(f"{PATH}/publishers")
async def add(own: OwnDep) -> Response:
    """Register one: at a project that one manages, or for a name that one might begin."""
    sent = await own.proved_form()
    try:
        project = names.normalize(one(sent, "name").strip())
        asked = _asked(sent)
        registrar = await publishers.get_registrar(own.request, project, own.identity, own.index)
        await publishers.add_publisher(
            project, asked, registrar, own.minting, own.ledger, own.record
        )
    except (errors.Invalid, errors.Forbidden, errors.PublisherExists) as wrong:
        return await own.page(message=str(wrong), status=answers.status(wrong))
    return browsing.go(own.request, PATH)


@router.post(f"{PATH}/publishers/{{id}}/remove")
async def remove(id: Annotated[str, Path(max_length=64)], own: OwnDep) -> Response:
    """Remove one; its tokens end at once."""
    await own.proved_form()
    found = await own.ledger.publishers.find(id)
    if found is None:
        raise errors.PublisherNotFound(id)
    registrar = await publishers.get_registrar(own.request, found.project, own.identity, own.index)
    await publishers.remove_publisher(found.project, id, registrar, own.ledger, own.record)
    return browsing.go(own.request, PATH)


def _asked(sent: Form) -> PublisherRequest:
    """What the API would be sent."""
    provider = PROVIDERS.get(one(sent, "provider"))
    if provider is None:
        raise errors.Invalid("There is no such provider.")
    given = {name: one(sent, name).strip() for name in provider.conditions}
    told = {"provider": provider.name, "issuer": one(sent, "issuer") or None, **given}
    try:
        return PublisherRequest.model_validate(told)
    except ValidationError:
        raise errors.Invalid("A publisher like this cannot be.") from None

"""``/account``: one's own tokens, password and sessions."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import Path, Response

from app import errors
from app.access import tokens
from app.access.authentication import Proof
from app.dependencies import AuthenticatorDep
from app.models import Permission, Scope
from app.reports import client_address, reporting
from app.routes import browsing
from app.routes.account_page import PATH, SHOWN, OwnDep
from app.routes.browsing import Form
from app.routes.login import welcome
from app.routes.token_schemas import audited
from app.routes.web.viewing import pages

router = pages()


@router.get(PATH)
async def show(own: OwnDep) -> Response:
    """The page."""
    return await own.page()


@router.post(f"{PATH}/tokens")
async def make_token(own: OwnDep) -> Response:
    """Make a token; its text is on the answer alone."""
    sent = await own.proved_form()
    longest = own.tokens.max_lifetime
    try:
        scope = _scope(sent)
        lifetime = timedelta(days=int(browsing.one(sent, "days") or "90"))
        if not timedelta() < lifetime <= longest:
            raise errors.Invalid(f"A token holds {longest.days} days at most.")
    except (errors.Invalid, ValueError, OverflowError) as wrong:
        message = str(wrong) if isinstance(wrong, errors.Invalid) else "Days are a number."
        return await own.page(message=message, status=400)
    token, text = tokens.make(
        tokens.kind_of(scope),
        scope=scope,
        now=browsing.now(),
        lifetime=lifetime,
        name="".join(c for c in browsing.one(sent, "name") if c.isprintable())[:100],
        owner=own.identity.actor.id,
        owner_stamp=own.identity.stamp,
    )
    await own.ledger.tokens.add(token)
    await own.record("token.create", f"token:{token.id}", after=audited(token))
    return await own.page(made=text)


@router.post(f"{PATH}/tokens/{{id}}/revoke")
async def revoke_token(id: Annotated[str, Path(max_length=64)], own: OwnDep) -> Response:
    """Revoke one of one's own tokens."""
    await own.form()
    token = await own.ledger.tokens.find(id)
    mine = token is not None and token.owner == own.identity.actor.id
    if token is None or not mine or not await own.ledger.tokens.revoke(id):
        raise errors.TokenNotFound(id)
    await own.record("token.revoke", f"token:{id}", before=audited(token))
    return browsing.go(own.request, PATH)


@router.post(f"{PATH}/sessions/{{id}}/end")
async def end_session(id: Annotated[str, Path(max_length=64)], own: OwnDep) -> Response:
    """End another one of one's own sessions, at once; this one ends by logging out."""
    await own.form()
    if id == own.visit.session.digest[:SHOWN]:
        raise errors.Invalid("This session ends by logging out.")
    kept = await own.ledger.sessions.of(own.identity.actor.id)
    found = next((one for one in kept if one.digest[:SHOWN] == id), None)
    if found is None or not await own.ledger.sessions.end(found.digest):
        raise errors.NotFound("There is no such session (any more).")
    told = {"created": found.created.isoformat(), "agent": found.agent}
    await own.record.entry("session.end", id, before=told)
    return browsing.go(own.request, PATH)


@router.post(f"{PATH}/password")
async def set_password(own: OwnDep, authenticator: AuthenticatorDep) -> Response:
    """Change one's own password; every session ends, and this browser gets a new one."""
    sent = await own.form()
    name, password = own.identity.actor.id, browsing.one(sent, "password")
    change = getattr(own.access, "set_password", None)
    if change is None:
        raise errors.NotEditable("elsewhere")
    proof = Proof(name, browsing.one(sent, "present"), client_address(own.request))
    try:
        if password != browsing.one(sent, "again"):
            raise errors.InvalidPassword("The two new passwords differ.")
        if tokens.looks_like(proof.secret.strip()):
            raise errors.Unauthenticated
        await authenticator.identify(proof, reporting(own.request))
        await change(name, password)
    except errors.TooManyAttempts as many:
        return browsing.later(await own.page(message=str(many), status=429), many)
    except (errors.InvalidPassword, errors.Unauthenticated) as wrong:
        wrong_one = isinstance(wrong, errors.Unauthenticated)
        message = "The present password is wrong." if wrong_one else str(wrong)
        return await own.page(message=message, status=400)
    await own.ledger.sessions.end_all(name)
    await own.record("user.password.change", f"user:{name}")
    known = await own.access.known(name)
    if known is None:
        raise errors.Unauthenticated
    return await welcome(own.request, own.ledger, known, PATH)


def _scope(sent: Form) -> Scope:
    try:
        permissions = frozenset(Permission(text) for text in sent.get("permission", ()))
    except ValueError:
        raise errors.Invalid("There is no such right.") from None
    if not permissions:
        raise errors.Invalid("Choose at least one right.")
    named = [text.strip() for text in browsing.one(sent, "projects").split(",") if text.strip()]
    if len(named) > tokens.MOST_PROJECTS:
        raise errors.Invalid(f"A token names {tokens.MOST_PROJECTS} projects at most.")
    projects = dict.fromkeys(tokens.project_or_pattern(text) for text in named or ["*"])
    creates = browsing.one(sent, "creates") == "yes"
    return Scope(permissions=permissions, projects=projects, creates=creates)

"""``/account``: one's own tokens, password and sessions."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import Path, Request, Response

from app import errors
from app.access import sessions, tokens
from app.access.authentication import Proof
from app.access.sessions import Visit
from app.dependencies import (
    AccessDep,
    AuthenticatorDep,
    LedgerDep,
    SettingsDep,
    get_settings,
)
from app.models import Permission, Scope
from app.reports import IDENTITY, client_address, reporting
from app.routes import browsing
from app.routes.browsing import Elsewhere, Form, VisitDep
from app.routes.login import welcome
from app.routes.recording import RecorderDep
from app.routes.token_schemas import audited
from app.routes.web.viewing import pages

router = pages()

PATH = "/account"


@router.get(PATH)
async def show(request: Request, visit: VisitDep, ledger: LedgerDep, access: AccessDep) -> Response:
    """The page."""
    return await _page(request, visit, ledger, access)


@router.post(f"{PATH}/tokens")
async def make_token(
    request: Request,
    visit: VisitDep,
    ledger: LedgerDep,
    access: AccessDep,
    settings: SettingsDep,
    record: RecorderDep,
) -> Response:
    """Make a token; its text is on the answer alone."""
    sent = await _proved_form(request, visit)
    try:
        scope = _scope(sent)
        lifetime = timedelta(days=int(browsing.one(sent, "days") or "90"))
        if not timedelta() < lifetime <= settings.tokens.max_lifetime:
            raise errors.Invalid(f"A token holds {settings.tokens.max_lifetime.days} days at most.")
    except (errors.Invalid, ValueError, OverflowError) as wrong:
        message = str(wrong) if isinstance(wrong, errors.Invalid) else "Days are a number."
        return await _page(request, visit, ledger, access, message=message, status=400)
    token, text = tokens.make(
        tokens.kind_of(scope),
        scope=scope,
        now=browsing.now(),
        lifetime=lifetime,
        name="".join(c for c in browsing.one(sent, "name") if c.isprintable())[:100],
        owner=visit.identity.actor.id,
        owner_stamp=visit.identity.stamp,
    )
    await ledger.tokens.add(token)
    await record("token.create", f"token:{token.id}", after=audited(token))
    return await _page(request, visit, ledger, access, made=text)


@router.post(f"{PATH}/tokens/{{id}}/revoke")
async def revoke_token(
    request: Request,
    id: Annotated[str, Path(max_length=64)],
    visit: VisitDep,
    ledger: LedgerDep,
    record: RecorderDep,
) -> Response:
    """Revoke one of one's own tokens."""
    await _own_form(request, visit)
    token = await ledger.tokens.find(id)
    mine = token is not None and token.owner == visit.identity.actor.id
    if token is None or not mine or not await ledger.tokens.revoke(id):
        raise errors.TokenNotFound(id)
    await record("token.revoke", f"token:{id}", before=audited(token))
    return browsing.go(request, PATH)


@router.post(f"{PATH}/password")
async def set_password(
    request: Request,
    visit: VisitDep,
    ledger: LedgerDep,
    access: AccessDep,
    authenticator: AuthenticatorDep,
    record: RecorderDep,
) -> Response:
    """Change one's own password; every session ends, and this browser gets a new one."""
    sent = await _own_form(request, visit)
    name, password = visit.identity.actor.id, browsing.one(sent, "password")
    change = getattr(access, "set_password", None)
    if change is None:
        raise errors.NotEditable("elsewhere")
    proof = Proof(name, browsing.one(sent, "present"), client_address(request))
    try:
        if password != browsing.one(sent, "again"):
            raise errors.InvalidPassword("The two new passwords differ.")
        if tokens.looks_like(proof.secret.strip()):
            raise errors.Unauthenticated
        await authenticator.identify(proof, reporting(request))
        await change(name, password)
    except errors.TooManyAttempts as many:
        page = await _page(request, visit, ledger, access, message=str(many), status=429)
        return browsing.later(page, many)
    except (errors.InvalidPassword, errors.Unauthenticated) as wrong:
        wrong_one = isinstance(wrong, errors.Unauthenticated)
        message = "The present password is wrong." if wrong_one else str(wrong)
        return await _page(request, visit, ledger, access, message=message, status=400)
    await ledger.sessions.end_all(name)
    await record("user.password.change", f"user:{name}")
    known = await access.known(name)
    if known is None:
        raise errors.Unauthenticated
    return await welcome(request, ledger, known, PATH)


async def _own_form(request: Request, visit: Visit) -> Form:
    sent = await browsing.own_form(request, visit)
    request.scope[IDENTITY] = visit.identity
    return sent


async def _proved_form(request: Request, visit: Visit) -> Form:
    """A form for what matters more: whoever logged in long ago does so again."""
    sent = await _own_form(request, visit)
    if not visit.proved(browsing.now()):
        raise Elsewhere(f"/login?next={PATH}")
    return sent


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


async def _page(
    request: Request,
    visit: Visit,
    ledger: LedgerDep,
    access: AccessDep,
    *,
    made: str = "",
    message: str = "",
    status: int = 200,
) -> Response:
    name = visit.identity.actor.id
    now = browsing.now()
    unused_after = (await get_settings(request)).tokens.unused_after
    open_ones = [one for one in await ledger.sessions.of(name) if now - one.seen < sessions.IDLE]
    return browsing.page(
        request,
        "account.html",
        status=status,
        user=name,
        csrf=visit.session.csrf,
        tokens=[(one, tokens.ends(one, unused_after)) for one in await ledger.tokens.of(name)],
        now=now,
        sessions=open_ones,
        own=visit.session.digest,
        password=hasattr(access, "set_password"),
        made=made,
        message=message,
    )

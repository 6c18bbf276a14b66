"""``/login`` and ``/logout``: sessions of people, begun and ended."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Query, Request, Response

from app import errors
from app.access import sessions, tokens
from app.access.authentication import LOGIN, Proof, Report
from app.access.ledger import Ledger
from app.dependencies import (
    AccessDep,
    AuthenticatorDep,
    ChronicleDep,
    IndexDep,
    LedgerDep,
    SettingsDep,
    own_origin,
    visiting,
)
from app.models import Identity
from app.reports import IDENTITY, client_address, reporting
from app.routes import browsing, conditional, showing
from app.routes.browsing import VisitDep
from app.routes.recording import Recorder, RecorderDep
from app.routes.web.viewing import pages
from app.visits import forwarded

router = pages()

Next = Annotated[str, Query(max_length=browsing.LONGEST_WAY)]


@router.get("/login")
async def show_login(
    request: Request,
    access: AccessDep,
    ledger: LedgerDep,
    settings: SettingsDep,
    index: IndexDep,
    chronicle: ChronicleDep,
    next: Next = "/account",
) -> Response:
    """The form; whom a trusted proxy has let in needs none."""
    identity = await forwarded(request, access, own_origin(request))
    if identity is not None:
        record = Recorder(index, chronicle, request, identity)
        return await _welcomed(request, ledger, identity, browsing.local(next), record)
    return _form(request, settings.sso.issuer != "", browsing.local(next))


@router.post("/login")
async def log_in(
    request: Request,
    authenticator: AuthenticatorDep,
    ledger: LedgerDep,
    settings: SettingsDep,
    index: IndexDep,
    chronicle: ChronicleDep,
) -> Response:
    """Begin a session, where the password is right."""
    sent = await browsing.form(request)
    after = browsing.local(browsing.one(sent, "next"))
    username, password = browsing.one(sent, "username"), browsing.one(sent, "password")
    single = settings.sso.issuer != ""
    if tokens.looks_like(password.strip()):
        return _form(request, single, after, "A token is for tools; log in with a password.", 400)
    proof = Proof(username, password, client_address(request))
    try:
        identity = await authenticator.identify(proof, _refusals(reporting(request)))
    except errors.Unauthenticated:
        return _form(request, single, after, "Unknown user or wrong password.", 400)
    except errors.TooManyAttempts as many:
        return browsing.later(_form(request, single, after, str(many), 429), many)
    record = Recorder(index, chronicle, request, identity)
    return await _welcomed(request, ledger, identity, after, record)


def _refusals(report: Report) -> Report:
    """All but logins, which are told of here: each begins a session, others are one an hour."""

    def told(
        action: str,
        *,
        target: str = "",
        typed: str | None = None,
        credential: str | None = None,
    ) -> None:
        if action != LOGIN:
            report(action, target=target, typed=typed, credential=credential)

    return told


async def _welcomed(
    request: Request, ledger: Ledger, identity: Identity, path: str, record: Recorder
) -> Response:
    response = await welcome(request, ledger, identity, path)
    await record.entry(LOGIN, f"user:{identity.actor.id}")
    return response


async def welcome(
    request: Request,
    ledger: Ledger,
    identity: Identity,
    path: str,
    *,
    proved: datetime | None = None,
) -> Response:
    """Begin a session of somebody who logged in (``proved``: when); one that there was ends."""
    response = browsing.go(request, path)
    session, secret = sessions.begin(
        identity,
        browsing.now(),
        proved=proved,
        address=client_address(request),
        agent=request.headers.get("user-agent", ""),
    )
    browsing.remember(request, response, secret)
    former = await visiting(request)
    if former is not None:
        await ledger.sessions.end(former.session.digest)
    await ledger.sessions.add(session)
    request.scope[IDENTITY] = identity
    return response


@router.post("/logout")
async def log_out(
    request: Request, visit: VisitDep, ledger: LedgerDep, record: RecorderDep
) -> Response:
    """End this session, or every one of its user."""
    sent = await browsing.own_form(request, visit)
    request.scope[IDENTITY] = visit.identity
    if browsing.one(sent, "everywhere"):
        await ledger.sessions.end_all(visit.session.user)
    else:
        await ledger.sessions.end(visit.session.digest)
    await record.entry("auth.logout", f"user:{visit.session.user}")
    response = browsing.go(request, "/login")
    browsing.forget(request, response)
    return response


@router.api_route("/assets/{asset}", methods=["GET", "HEAD"])
async def asset(
    request: Request, asset: str, v: Annotated[str, Query(max_length=64)] = ""
) -> Response:
    """What the pages are made of; an address with the version of today is good for ever."""
    found = showing.LOADED.get(asset)
    if found is None:
        raise errors.NotFound("There is no such page here.")
    lifetime = conditional.FOREVER if v == found.version else "max-age=300"
    headers = {"Cache-Control": lifetime, "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(found.body, media_type=found.kind, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return Response(found.packed, media_type=found.kind, headers=headers)


def _form(request: Request, sso: bool, next: str, message: str = "", status: int = 200) -> Response:
    return browsing.page(request, "login.html", status=status, next=next, sso=sso, message=message)

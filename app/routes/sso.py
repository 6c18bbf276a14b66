"""``/login/sso``: to the provider that people log in at, and back."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Query, Request, Response

from app import errors
from app.access.base import Access, EditableAccess
from app.access.ledger import Ledger
from app.access.oidc.groups import claimed, ruled
from app.access.oidc.options import SsoOptions
from app.access.oidc.signing_in import LIFE
from app.access.principals import is_name
from app.access.sessions import PROVED
from app.dependencies import (
    AccessDep,
    LedgerDep,
    LimitsDep,
    SettingsDep,
    SigningInDep,
    own_origin,
    visiting,
)
from app.models import Identity
from app.reports import IDENTITY, client_address
from app.routes import browsing
from app.routes.login import welcome
from app.routes.recording import Recorder, RecorderDep
from app.routes.web.viewing import pages
from app.visits import cookie_name

logger = logging.getLogger(__name__)
router = pages()

BACK = "/login/sso/callback"
_NONE = "Single sign-on is not set up here."
Text = Annotated[str, Query(max_length=4096)]


@router.get("/login/sso")
async def leave(
    request: Request,
    signing_in: SigningInDep,
    next: Annotated[str, Query(max_length=browsing.LONGEST_WAY)] = "/account",
) -> Response:
    """To the provider; the browser keeps what is needed for the way back."""
    if signing_in is None:
        raise errors.NotFound(_NONE)
    # Whoever is here already comes for what only a fresh login allows.
    again = await visiting(request) is not None
    max_age = int(PROVED.total_seconds()) if again else None
    kept, where = await signing_in.begin(_back(request), browsing.local(next), max_age=max_age)
    name = _cookie(request)
    headers = {"Location": where, "Cache-Control": "no-store"}
    response = Response(status_code=303, headers=headers)
    response.set_cookie(
        name,
        kept,
        max_age=LIFE,
        path="/",
        secure=name.startswith("__Host-"),
        httponly=True,
        samesite="lax",
    )
    return response


@router.get(BACK)
async def come_back(
    request: Request,
    signing_in: SigningInDep,
    ledger: LedgerDep,
    access: AccessDep,
    settings: SettingsDep,
    record: RecorderDep,
    limits: LimitsDep,
    code: Text = "",
    state: Text = "",
) -> Response:
    """Begin a session of whom the provider names; an attempt is good once.

    Where it says ``error``, nobody is: what it says of that is a stranger's text, not shown.
    """
    if signing_in is None:
        raise errors.NotFound(_NONE)
    failures = limits.sso(client_address(request))
    kept, attempt = "", None
    try:
        kept = request.cookies.get(_cookie(request), "")
        await limits.check(failures)
        attempt = signing_in.attempt(kept, state)
        once = hashlib.sha256(state.encode()).hexdigest()
        if not await ledger.once.use("sso", once, datetime.fromtimestamp(attempt.until, UTC)):
            raise errors.Unauthenticated("This login has been used.")
        given = "" if "error" in request.query_params else code
        claims = await signing_in.finish(attempt, given, _back(request))
        identity = await _known(claims, settings.sso, access, ledger, record, request)
    except errors.TooManyAttempts as many:
        return browsing.later(_refused(request, str(many), signing_in.wanted(kept), 429), many)
    except (errors.Unauthenticated, errors.MintRefused, errors.Forbidden) as refused:
        record.refused("auth.login.fail", "sso")
        await limits.count(failures)
        response = _refused(request, str(refused), signing_in.wanted(kept))
        if attempt is not None:  # with another state it may be on its way yet
            _forget(request, response)
        return response
    proved = _logged_in(claims)
    response = await welcome(request, ledger, identity, attempt.next, proved=proved)
    _forget(request, response)
    await record.entry("auth.login.ok", f"user:{identity.actor.id}")
    return response


async def _known(
    claims: Mapping[str, Any],
    options: SsoOptions,
    access: Access,
    ledger: Ledger,
    record: Recorder,
    request: Request,
) -> Identity:
    """The user of these claims, made or changed as the settings say."""
    check_domain(claims, options.domains)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise errors.Forbidden("The provider does not say who this is ('sub').")
    name = await ledger.subjects.user(options.issuer, subject)
    if name is None:
        name = _named(claims, options.username_claim)
        await _admit(name, options, access, record)
        if not await ledger.subjects.bind(options.issuer, subject, name):
            raise errors.Forbidden("This user is somebody else at the provider.")
    editable: Any = access
    identity = await access.known(name)
    if identity is None:
        raise errors.Forbidden("This user is not known here.")
    request.scope[IDENTITY] = identity
    if options.groups and hasattr(access, "set_member"):
        await _put_into_groups(name, claims, options, editable, record)
    if options.admin_group and hasattr(access, "set_admin"):
        groups = claims.get(options.groups_claim)
        admin = isinstance(groups, list) and options.admin_group in groups
        if admin is not identity.admin:
            identity = await _set_admin(identity, admin, editable, record)
    return identity


def _logged_in(claims: Mapping[str, Any]) -> datetime | None:
    """When somebody proved to the provider who they are; None where it does not say."""
    said = claims.get("auth_time")
    if not isinstance(said, int) or isinstance(said, bool) or not 0 <= said < 2**33:
        return None
    return datetime.fromtimestamp(said, UTC)


def _named(claims: Mapping[str, Any], claim: str) -> str:
    """Whom the claim names; an address only where the provider has verified it."""
    name = claims.get(claim)
    if not isinstance(name, str) or not is_name(name):
        raise errors.Forbidden(f"The provider names nobody in '{claim}'.")
    if claim == "email" and claims.get("email_verified") is not True:
        raise errors.Forbidden("The provider has not verified this address.")
    return name.lower()


async def _admit(name: str, options: SsoOptions, access: Access, record: Recorder) -> None:
    """See that there is a user of this name whom somebody who comes first may be."""
    if await access.known(name) is not None:
        if not options.link_users:
            raise errors.Forbidden("A user of this name is here already, who logs in otherwise.")
        return
    if not options.create_users or not hasattr(access, "add_user"):
        raise errors.Forbidden("This user is not known here.")
    editable: Any = access
    try:
        await editable.add_user(name, secrets.token_urlsafe(32))
    except errors.UserExists:
        raise errors.Forbidden("This user may not log in.") from None
    await record("user.create", f"user:{name}")


async def _set_admin(
    identity: Identity, admin: bool, access: EditableAccess, record: Recorder
) -> Identity:
    """Who that is with or without an admin's rights, as far as their backend is edited here."""
    name = identity.actor.id
    try:
        await access.set_admin(name, admin)
    except errors.NotEditable as why:
        logger.warning("the provider does not rule whether %s is an admin: %s", name, why)
        return identity
    await record(f"user.admin.{'grant' if admin else 'revoke'}", f"user:{name}")
    return await access.known(name) or identity


async def _put_into_groups(
    user: str,
    claims: Mapping[str, Any],
    options: SsoOptions,
    access: EditableAccess,
    record: Recorder,
) -> None:
    """Have somebody be in the groups of the claim, as far as the settings leave them to it."""
    wanted = claimed(claims.get(options.groups_claim), options.groups)
    there = await access.groups()
    had = {one for one, members in there.items() if user in members and ruled(one, options.groups)}
    for group in sorted(wanted - there.keys()):
        try:
            await access.add_group(group)
        except errors.GroupExists:  # of two who came at once
            continue
        await record("group.create", group)
    for group in sorted(wanted ^ had):
        member = group in wanted
        try:
            await access.set_member(group, user, member)
        except errors.NotEditable as why:  # a group of another backend in the chain
            logger.warning("the provider does not rule the group %s: %s", group, why)
            continue
        action = f"group.member.{'add' if member else 'remove'}"
        before, after = (None, {"member": user}) if member else ({"member": user}, None)
        await record(action, group, before=before, after=after)


def check_domain(claims: Mapping[str, Any], domains: tuple[str, ...]) -> None:
    """Raises errors.Forbidden for whoever has no verified address in one of the domains."""
    if not domains:
        return
    email = claims.get("email")
    verified = claims.get("email_verified") is True and isinstance(email, str)
    domain = str(email).rpartition("@")[2].lower() if verified else ""
    if domain not in {one.lower() for one in domains}:
        raise errors.Forbidden("Logins are for other domains.")


def _back(request: Request) -> str:
    return f"{own_origin(request)}{request.scope.get('root_path', '')}{BACK}"


def _cookie(request: Request) -> str:
    name = cookie_name(request)
    if name is None:
        raise errors.Forbidden("Logging in needs https.")
    return f"{name}-sso"


def _forget(request: Request, response: Response) -> None:
    """Have the browser forget an attempt that came to its end."""
    name = _cookie(request)
    response.delete_cookie(name, path="/", secure=name.startswith("__Host-"), httponly=True)


def _refused(request: Request, message: str, wanted: str, status: int = 403) -> Response:
    """A page that says why; its links lead to the login, and from there to what was wanted.

    None names this address again, with what a stranger wrote into it.
    """
    here = browsing.local(wanted)
    again = f"{request.scope.get('root_path', '')}/login?next={quote(here)}"
    return browsing.page(
        request,
        "refused.html",
        status=status,
        message=message,
        again=again,
        here=here,
        address=lambda **changed: f"{again}&{urlencode(changed)}",
    )

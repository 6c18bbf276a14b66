"""``/api/v1/tokens``: API tokens, made, listed, revoked, made anew, reported as leaked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Path, Query, Request, Response

from app import errors
from app.access import policy, tokens
from app.access.ledger import Token
from app.dependencies import (
    IdentityDep,
    IndexDep,
    LedgerDep,
    LimitsDep,
    SettingsDep,
    get_proof,
)
from app.index import Index
from app.models import Identity, Scope
from app.names import normalize
from app.reports import client_address
from app.routes.recording import RecorderDep
from app.routes.router import Router
from app.routes.schemas import FAILURES, NO_NUL
from app.routes.token_schemas import MadeToken, TokenLine, TokenRequest, audited

router = Router(prefix="/api/v1/tokens", tags=["tokens"], responses=FAILURES)

Id = Annotated[str, Path(max_length=64)]
LEAKED = 100
"""Tokens looked for in one report."""
ALL = "*"

_REPORT = {
    "requestBody": {
        "required": True,
        "description": "Any text with tokens in it, also what GitHub's secret scanning sends.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


@router.get("", summary="List tokens")
async def list_tokens(
    identity: IdentityDep,
    ledger: LedgerDep,
    settings: SettingsDep,
    owner: Annotated[
        str,
        Query(
            max_length=64, pattern=NO_NUL, description="another user's, `*` everybody's: for admins"
        ),
    ] = "",
) -> list[TokenLine]:
    """The caller's tokens, newest first; with a token, itself and those made with it."""
    caller = _person(identity)
    if owner not in ("", caller.actor.id):
        if not policy.administers(caller):
            raise errors.Forbidden("Only an admin sees the tokens of others.")
        found = await ledger.tokens.of(None if owner == ALL else owner.lower())
    else:
        found = [one for one in await ledger.tokens.of(caller.actor.id) if _rules(caller, one)]
    return [TokenLine.of(token, settings.tokens.unused_after) for token in found]


@router.post("", status_code=201, summary="Make a token", dependencies=[Depends(get_proof)])
async def make_token(
    asked: TokenRequest,
    response: Response,
    identity: IdentityDep,
    ledger: LedgerDep,
    index: IndexDep,
    settings: SettingsDep,
    record: RecorderDep,
) -> MadeToken:
    """Make a token for the caller. Its text is shown this once."""
    caller = _person(identity)
    scope = await _scope(asked, index)
    networks = [tokens.network(network) for network in asked.networks]
    if scope.admin and not policy.administers(caller):
        raise errors.Forbidden("Only an admin makes a token that may do an admin's work.")
    lifetime = settings.tokens.default_lifetime
    if asked.expires_in is not None:
        lifetime = timedelta(seconds=asked.expires_in)
    if lifetime > settings.tokens.max_lifetime:
        raise errors.Invalid(f"A token holds for {settings.tokens.max_lifetime.days} days at most.")
    now = datetime.now(UTC)
    parent = await _parent(caller, ledger)
    if parent is not None:
        tokens.refuse_wider(scope, networks, parent)
        lifetime = min(lifetime, parent.expires - now)
    token, text = tokens.make(
        tokens.kind_of(scope),
        scope=scope,
        now=now,
        lifetime=lifetime,
        name=asked.name,
        owner=caller.actor.id,
        owner_stamp=caller.stamp,
        networks=networks,
        parent=caller.credential if parent else None,
    )
    try:
        await ledger.tokens.add(token)
    except errors.TokenNotFound:  # what it is made with was revoked meanwhile
        raise errors.Unauthenticated from None
    await _bind_those_that_came(scope, ledger, index)
    await record("token.create", f"token:{token.id}", after=audited(token))
    response.headers["Cache-Control"] = "no-store"
    return MadeToken.made(token, text, settings.tokens.unused_after)


@router.post("/leaked", status_code=204, summary="Report leaked tokens", openapi_extra=_REPORT)
async def report_leak(
    request: Request, ledger: LedgerDep, limits: LimitsDep, record: RecorderDep
) -> None:
    """Revoke every token in the text that is sent. The answer is the same for unknown ones."""
    await limits.spend(limits.token(client_address(request)))
    text = (await request.body()).decode("utf-8", "replace")
    for match in list(tokens.PATTERN.finditer(text))[:LEAKED]:
        try:
            parsed = tokens.parse(match[0])
        except errors.Unauthenticated:
            continue
        token = await ledger.tokens.find(parsed.id)
        if token is not None and tokens.is_of(parsed, token):
            await ledger.tokens.revoke(token.id)
            await record("token.leak", f"token:{token.id}", before=audited(token))


@router.delete("/{id}", status_code=204, summary="Revoke a token")
async def revoke_token(
    id: Id, identity: IdentityDep, ledger: LedgerDep, record: RecorderDep
) -> None:
    """Revoke one's own token, or as an admin anybody's, at once, with those made with it."""
    token = await _ruled(id, _person(identity, publishers=True), ledger)
    if not await ledger.tokens.revoke(token.id):
        raise errors.TokenNotFound(id)
    await record("token.revoke", f"token:{token.id}", before=audited(token))


@router.post(
    "/{id}/rotate",
    status_code=201,
    summary="Make a token anew",
    dependencies=[Depends(get_proof)],
)
async def rotate_token(
    id: Id,
    response: Response,
    identity: IdentityDep,
    ledger: LedgerDep,
    settings: SettingsDep,
    record: RecorderDep,
) -> MadeToken:
    """Replace one's token by a new one of the same scope that holds as long; the old one ends."""
    caller = _person(identity)
    old = await _ruled(id, caller, ledger)
    if old.owner != caller.actor.id or old.owner_stamp != caller.stamp:
        raise errors.Forbidden("A token is made anew by its owner.")
    now = datetime.now(UTC)
    lifetime = min(old.expires - old.created, settings.tokens.max_lifetime)
    own = await _parent(caller, ledger)
    if own is not None:
        lifetime = min(lifetime, own.expires - now)
    token, text = tokens.make(
        tokens.kind_of(old.scope),
        scope=old.scope,
        now=now,
        lifetime=lifetime,
        name=old.name,
        owner=old.owner,
        owner_stamp=old.owner_stamp,
        networks=old.networks,
        parent=old.parent,
    )
    await ledger.tokens.add(token)
    if not await ledger.tokens.revoke(old.id):  # somebody was quicker
        await ledger.tokens.revoke(token.id)
        raise errors.TokenNotFound(id)
    await record("token.rotate", f"token:{token.id}", before=audited(old), after=audited(token))
    response.headers["Cache-Control"] = "no-store"
    return MadeToken.made(token, text, settings.tokens.unused_after)


def _person(identity: Identity | None, *, publishers: bool = False) -> Identity:
    if identity is None:
        raise errors.Unauthenticated
    if identity.actor.kind != "user" and not publishers:
        raise errors.Forbidden("A token that was minted for a publisher has no tokens of its own.")
    return identity


def _rules(caller: Identity, token: Token) -> bool:
    """Whether the caller may see, revoke and renew the token."""
    if policy.administers(caller):
        return True
    if caller.credential is not None and caller.scope is not None:
        return caller.credential in (token.id, token.parent)
    mine = caller.actor.kind == "user" and token.owner == caller.actor.id
    return mine and token.owner_stamp == caller.stamp


async def _ruled(id: str, caller: Identity, ledger: LedgerDep) -> Token:
    token = await ledger.tokens.find(id)
    if token is None or not _rules(caller, token):
        raise errors.TokenNotFound(id)
    return token


async def _parent(caller: Identity, ledger: LedgerDep) -> Token | None:
    """The token that the caller came with; None where it was another proof."""
    if caller.scope is None or caller.credential is None:
        return None
    parent = await ledger.tokens.find(caller.credential)
    if parent is None:
        raise errors.Unauthenticated
    return parent


async def _scope(asked: TokenRequest, index: Index) -> Scope:
    projects: dict[str, str | None] = {}
    for text in asked.projects:
        name = tokens.project_or_pattern(text)
        projects[name] = None if "*" in name else await index.generation(normalize(name))
    return Scope(
        permissions=frozenset(asked.permissions),
        projects=projects,
        creates=asked.creates,
        admin=asked.admin,
    )


async def _bind_those_that_came(scope: Scope, ledger: LedgerDep, index: Index) -> None:
    """A name that was free may have been claimed before the token was there to be bound."""
    for name, meant in scope.projects.items():
        if meant is None and "*" not in name:
            project = normalize(name)
            generation = await index.generation(project)
            if generation is not None:
                await ledger.tokens.bind(project, generation)

"""The page of one's own account, and what its forms share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from app import errors
from app.access import policy, sessions, tokens
from app.access.ledger import Ledger, Session
from app.access.oidc.minting import Minting
from app.access.oidc.options import SsoOptions
from app.access.options import TokenOptions
from app.access.sessions import Visit
from app.dependencies import (
    AccessDep,
    ChronicleDep,
    DefaultsDep,
    IndexDep,
    LedgerDep,
    MintingDep,
    SettingsDep,
)
from app.index import Index
from app.models import Identity
from app.reports import IDENTITY
from app.routes import browsing
from app.routes.browsing import Elsewhere, Form, VisitDep
from app.routes.managed import managed
from app.routes.recording import Recorder
from app.routes.token_schemas import TokenLine
from app.web.account import PublishersView, PublisherView, forms

PATH = "/account"
SHOWN = 16
"""Characters of a session's digest that name it, as in the audit trail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """Somebody at their own account, and what showing it takes."""

    request: Request
    visit: Visit
    ledger: Ledger
    access: Any
    index: Index
    defaults: policy.Defaults
    minting: Minting | None
    tokens: TokenOptions
    sso: SsoOptions
    record: Recorder

    @property
    def identity(self) -> Identity:
        """Who it is."""
        return self.visit.identity

    async def form(self) -> Form:
        """What a form of this session sent."""
        sent = await browsing.own_form(self.request, self.visit)
        self.request.scope[IDENTITY] = self.identity
        return sent

    async def proved_form(self) -> Form:
        """A form for what matters more: whoever logged in long ago does so again."""
        sent = await self.form()
        if not self.visit.proved(browsing.now()):
            raise Elsewhere(f"/login?next={PATH}")
        return sent

    async def page(self, *, made: str = "", message: str = "", status: int = 200) -> Response:
        """All of it; ``made``: a new token, shown this once."""
        name, now = self.identity.actor.id, browsing.now()
        unused_after = self.tokens.unused_after
        kept = await self.ledger.sessions.of(name)
        open_ones = [(one, one.digest[:SHOWN]) for one in kept if now - one.seen < sessions.IDLE]
        own = await self.ledger.tokens.of(name)
        publishing = await self._publishing()
        told = {
            "user": name,
            "tokens": [TokenLine.of(one, unused_after) for one in own],
            "sessions": [self._session(one, id) for one, id in open_ones],
            "publishers": publishing.publishers if publishing else [],
        }
        return browsing.page(
            self.request,
            "account.html",
            status=status,
            told=None if made or message else told,
            user=name,
            csrf=self.visit.session.csrf,
            tokens=[(one, tokens.ends(one, unused_after)) for one in own],
            now=now,
            sessions=open_ones,
            own=self.visit.session.digest,
            password=hasattr(self.access, "set_password"),
            # Nothing that is kept of a user says whether anybody knows the password.
            made_by_sso=bool(self.sso.issuer) and self.sso.create_users,
            publishing=publishing,
            made=made,
            message=message,
        )

    def _session(self, one: Session, id: str) -> dict[str, object]:
        shown = {"id": id, "created": one.created, "seen": one.seen, "expires": one.expires}
        mine = one.digest == self.visit.session.digest
        return {**shown, "address": one.address, "agent": one.agent, "own": mine}

    async def _publishing(self) -> PublishersView | None:
        """None for whoever manages nothing, or where nobody publishes so."""
        if self.minting is None:
            return None
        try:
            found = await managed(
                self.identity, self.index, self.access, self.defaults, self.minting, self.ledger
            )
        except errors.Unavailable:  # tokens and sessions are shown all the same
            return PublishersView(known=False)
        if not found.projects and not found.publishers:
            return None
        return PublishersView(
            known=True,
            publishers=[PublisherView.of(one) for one in found.publishers],
            forms=forms(self.minting.issuers.values()),
            custom=any(one.provider in ("custom", None) for one in self.minting.issuers.values()),
        )


async def get_own(
    request: Request,
    visit: VisitDep,
    ledger: LedgerDep,
    access: AccessDep,
    index: IndexDep,
    defaults: DefaultsDep,
    minting: MintingDep,
    settings: SettingsDep,
    chronicle: ChronicleDep,
) -> Own:
    """Whoever is logged in; others are sent to log in."""
    return Own(
        request=request,
        visit=visit,
        ledger=ledger,
        access=access,
        index=index,
        defaults=defaults,
        minting=minting,
        tokens=settings.tokens,
        sso=settings.sso,
        record=Recorder(index, chronicle, request, visit.identity),
    )


OwnDep = Annotated[Own, Depends(get_own)]

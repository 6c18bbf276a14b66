"""What endpoints ask for: the rooms, who asks, and whether they may.

``Depends`` is the only injection. The lifespan (app.main) opens everything and yields it as
``State``; the providers here hand out its parts. They are coroutines, each of them: FastAPI
gives any other to a thread, which costs more than the rest of a small answer. Rights are
decided by app.access.policy, through ``authorize``, by every door; ``may`` is the same as a
dependency.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import Depends, Path, Request
from packaging.utils import NormalizedName
from starlette.requests import HTTPConnection

from app import errors, names, visits
from app.access import credentials, policy
from app.access.authentication import Authenticator, Proof
from app.access.base import Access, EditableAccess, editable, origin
from app.access.chronicle import Chronicle
from app.access.ledger import Ledger
from app.access.limits import Limits
from app.access.oidc.minting import Minting
from app.access.oidc.signing_in import SigningIn
from app.access.sessions import Visit
from app.config import Settings
from app.downloads import Downloads
from app.hot.offer import OFFER, Offer
from app.index import Index
from app.models import Identity, Permission
from app.pages import Pages
from app.reports import IDENTITY, client_address, reporting
from app.state import Probe
from app.state import of as _state
from app.upload.attestations import Attestor
from app.upload.inspection import Inspectors
from app.upstream.upstreams import Upstreams
from app.web.archives import Archives
from app.web.catalogue import Catalogue
from app.web.descriptions import Descriptions
from app.web.releases import Shelf


def _part(name: str) -> Callable[[Request], Any]:
    """A provider of one part of the state."""

    async def part(request: Request) -> Any:
        return getattr(request.state, name)

    return part


async def get_settings(request: Request) -> Settings:
    """The settings of this process."""
    return _state(request)["settings"]


async def get_index(request: Request) -> Index:
    """The index."""
    return _state(request)["index"]


async def get_pages(request: Request) -> Pages:
    """The rendered pages."""
    return _state(request)["pages"]


async def get_access(request: Request) -> Access:
    """Who is who, and what was granted."""
    return _state(request)["access"]


async def get_editable(access: Annotated[Access, Depends(get_access)]) -> EditableAccess:
    """The same, to be edited; errors.NotEditable."""
    return editable(access)


async def get_users(access: Annotated[Access, Depends(get_access)]) -> Any:
    """The same, to list users and groups; errors.NotEditable where it has no lists."""
    if not hasattr(access, "users"):
        raise errors.NotEditable(origin(access))
    return access


async def get_ledger(request: Request) -> Ledger:
    """Tokens, publishers, sessions, attempts and the audit trail."""
    return _state(request)["ledger"]


async def get_limits(request: Request) -> Limits:
    """How often what may be attempted."""
    return _state(request)["limits"]


async def get_chronicle(request: Request) -> Chronicle:
    """The audit trail, to be written."""
    return _state(request)["chronicle"]


async def get_defaults(request: Request) -> policy.Defaults:
    """The rights on projects without grants of their own."""
    return _state(request)["defaults"]


async def get_inspectors(request: Request) -> Inspectors:
    """The child processes that look into archives."""
    return _state(request)["inspectors"]


async def get_base_url(request: Request) -> str:
    """What links begin with, without a slash at its end: never a Host that a client sent.

    The public URL where that is set, else the root path (often empty), which makes links
    relative to the host.
    """
    return _base_url(_state(request)["settings"])


async def get_file_base_url(request: Request) -> str:
    """What absolute links to files begin with: as ``get_base_url``, but on loopback whole.

    There the address is that of our own socket, so nobody else can have chosen it.
    """
    settings = _state(request)["settings"]
    host, port = request.scope.get("server") or ("", None)
    if settings.public_url or settings.trusted_proxies or host not in ("127.0.0.1", "::1"):
        return _base_url(settings)
    shown = f"[{host}]" if ":" in host else host
    return f"{request.scope['scheme']}://{shown}:{port}{settings.root_path}"


async def get_outside_url(request: Request) -> str | None:
    """How clients reach us, for people to copy; None where we cannot know without asking them."""
    settings = _state(request)["settings"]
    return settings.public_url or settings.local_url


def _base_url(settings: Settings) -> str:
    return settings.public_url or settings.root_path


SettingsDep = Annotated[Settings, Depends(get_settings)]
IndexDep = Annotated[Index, Depends(get_index)]
PagesDep = Annotated[Pages, Depends(get_pages)]
UpstreamsDep = Annotated[Upstreams, Depends(_part("upstreams"))]
AccessDep = Annotated[Access, Depends(get_access)]
EditableDep = Annotated[EditableAccess, Depends(get_editable)]
UsersDep = Annotated[Any, Depends(get_users)]
LedgerDep = Annotated[Ledger, Depends(get_ledger)]
MintingDep = Annotated[Minting | None, Depends(_part("minting"))]
AttestorDep = Annotated[Attestor | None, Depends(_part("attestor"))]
AuthenticatorDep = Annotated[Authenticator, Depends(_part("authenticator"))]
SigningInDep = Annotated[SigningIn | None, Depends(_part("signing_in"))]
LimitsDep = Annotated[Limits, Depends(get_limits)]
ChronicleDep = Annotated[Chronicle, Depends(get_chronicle)]
DefaultsDep = Annotated[policy.Defaults, Depends(get_defaults)]
InspectorsDep = Annotated[Inspectors, Depends(get_inspectors)]
CatalogueDep = Annotated[Catalogue, Depends(_part("catalogue"))]
ShelfDep = Annotated[Shelf, Depends(_part("shelf"))]
ArchivesDep = Annotated[Archives, Depends(_part("archives"))]
DescriptionsDep = Annotated[Descriptions, Depends(_part("descriptions"))]
DownloadsDep = Annotated[Downloads | None, Depends(_part("downloads"))]
ProbesDep = Annotated[Mapping[str, Probe], Depends(_part("probes"))]
BaseUrlDep = Annotated[str, Depends(get_base_url)]
FileBaseUrlDep = Annotated[str, Depends(get_file_base_url)]
OutsideUrlDep = Annotated[str | None, Depends(get_outside_url)]


async def get_offer(request: Request) -> Offer:
    """What a door fills in where its answer may be given again."""
    offer: Offer = request.scope[OFFER]
    return offer


OfferDep = Annotated[Offer, Depends(get_offer)]


async def get_identity(request: Request) -> Identity | None:
    """Who asks, or None where no credentials were sent; asked for once in a request.

    Raises errors.Unauthenticated for credentials that are wrong or unreadable: whoever
    sends some wants to be known. Further errors: Authenticator.identify.
    """
    sent = request.headers.getlist("authorization")
    if not sent:
        try:
            identity = await visits.forwarded(
                request, _state(request)["access"], own_origin(request)
            )
        except errors.Unauthenticated:
            reporting(request)("auth.login.fail", typed=request.scope[visits.FORWARDED_USER])
            raise
        if identity is None and visits.calls(request, own_origin(request)):
            identity = visits.caller(request, await visiting(request))
        request.scope[IDENTITY] = identity
        return identity
    try:
        if len(sent) > 1:
            raise errors.Unauthenticated
        username, secret = credentials.parse(sent[0])
    except errors.Unauthenticated:
        reporting(request)("auth.login.fail", target="credentials:?")
        raise
    proof = Proof(username, secret, client_address(request))
    identity = await _state(request)["authenticator"].identify(proof, reporting(request))
    if identity.anywhere:
        hot = _state(request)["hot"]
        hot.remember(sent[0].encode("latin-1"), identity, offer=await get_offer(request))
    request.scope[IDENTITY] = identity
    return identity


async def visiting(request: Request) -> Visit | None:
    """The session of the browser's cookie, where it holds."""
    state = _state(request)
    return await visits.visiting(request, state["ledger"].sessions, state["access"])


def own_origin(request: HTTPConnection) -> str:
    """The origin of our own pages, as browsers name it."""
    return visits.own_origin(request, _state(request)["settings"].public_url)


IdentityDep = Annotated[Identity | None, Depends(get_identity)]


async def authorize(
    request: Request,
    identity: Identity | None,
    permission: Permission,
    project: NormalizedName,
    generation: str | None,
) -> None:
    """Return if ``identity`` (None: the anonymous) has the permission on the project.

    ``generation`` is that of the project as it stands, None where there is no such project:
    then the defaults decide, so that for whoever may not read, a project that is hidden and
    one that does not exist answer alike. Raises errors.Unauthenticated, errors.Forbidden.
    """
    state = _state(request)
    grants = await state["access"].grants(project, generation)
    policy.decide(identity, permission, project, generation, grants, state["defaults"])


async def get_project(project: Annotated[str, Path()]) -> NormalizedName:
    """The path's project, normalised; errors.NotFound for what cannot be a name."""
    try:
        return names.normalize(project)
    except errors.InvalidName:
        raise errors.NotFound("There is no such project here.") from None


ProjectDep = Annotated[NormalizedName, Depends(get_project)]


def may(permission: Permission) -> Callable[..., Awaitable[Identity | None]]:
    """A dependency: who asks, once it is known that they have this permission.

    It reads the path parameter ``project``. Use it as
    ``identity: Annotated[Identity | None, Depends(may(Permission.MANAGE))]``.
    """

    async def allowed(
        request: Request, project: ProjectDep, identity: IdentityDep, index: IndexDep
    ) -> Identity | None:
        await authorize(request, identity, permission, project, await index.generation(project))
        return identity

    return allowed


async def get_proof(request: Request, identity: IdentityDep) -> None:
    """Raises errors.Forbidden where a session's login is too long ago to change what matters."""
    visits.require_proof(request)


async def get_admin(request: Request, identity: IdentityDep) -> Identity:
    """Whoever asks, if an admin; to change something, one who logged in lately."""
    if identity is None:
        raise errors.Unauthenticated
    if not policy.administers(identity):
        raise errors.Forbidden("Only an admin may do this.")
    visits.require_proof(request)
    return identity


AdminDep = Annotated[Identity, Depends(get_admin)]

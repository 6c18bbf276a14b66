"""What endpoints ask for: the rooms, who asks, and whether they may.

``Depends`` is the only injection. The lifespan (app.main) opens everything and yields it as
``State``; the providers here hand out its parts. Rights are decided by app.access.policy,
through ``authorize``, by every door; ``may`` is the same as a dependency.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from typing import Annotated, TypedDict, cast

from fastapi import Depends, Path, Request
from packaging.utils import NormalizedName

from app import errors, names
from app.access import policy
from app.access.base import Access
from app.config import Settings
from app.index import Index
from app.models import Identity, Permission
from app.pages import Pages
from app.upload.inspection import Inspectors

Probe = Callable[[], Awaitable[object]]
"""Asks one part whether it answers; raises errors.Unavailable where it does not."""


class State(TypedDict):
    """What a process holds while it serves; the lifespan yields it into ``request.state``."""

    settings: Settings
    defaults: policy.Defaults
    index: Index
    pages: Pages
    access: Access
    inspectors: Inspectors
    probes: Mapping[str, Probe]


def _state(request: Request) -> State:
    return cast(State, request.state)


def get_settings(request: Request) -> Settings:
    """The settings of this process."""
    return _state(request)["settings"]


def get_index(request: Request) -> Index:
    """The index."""
    return _state(request)["index"]


def get_pages(request: Request) -> Pages:
    """The rendered pages."""
    return _state(request)["pages"]


def get_access(request: Request) -> Access:
    """Who is who, and what was granted."""
    return _state(request)["access"]


def get_defaults(request: Request) -> policy.Defaults:
    """The rights on projects without grants of their own."""
    return _state(request)["defaults"]


def get_inspectors(request: Request) -> Inspectors:
    """The child processes that look into archives."""
    return _state(request)["inspectors"]


def get_probes(request: Request) -> Mapping[str, Probe]:
    """What readiness asks, by the name of the part."""
    return _state(request)["probes"]


def get_base_url(request: Request) -> str:
    """What links begin with, without a slash at its end: never a Host that a client sent.

    The public URL where that is set, else the root path (often empty), which makes links
    relative to the host.
    """
    settings = get_settings(request)
    return settings.public_url or settings.root_path


def get_file_base_url(request: Request) -> str:
    """What absolute links to files begin with: as ``get_base_url``, but on loopback whole.

    There the address is that of our own socket, so nobody else can have chosen it.
    """
    settings = get_settings(request)
    host, port = request.scope.get("server") or ("", None)
    if settings.public_url or settings.trusted_proxies or host not in ("127.0.0.1", "::1"):
        return get_base_url(request)
    shown = f"[{host}]" if ":" in host else host
    return f"{request.scope['scheme']}://{shown}:{port}{settings.root_path}"


def get_outside_url(request: Request) -> str | None:
    """How clients reach us, for people to copy; None where we cannot know without asking them."""
    settings = get_settings(request)
    if settings.public_url:
        return settings.public_url
    try:
        local = ip_address(settings.host).is_loopback
    except ValueError:
        local = settings.host == "localhost"
    return f"http://{settings.host}:{settings.port}{settings.root_path}" if local else None


SettingsDep = Annotated[Settings, Depends(get_settings)]
IndexDep = Annotated[Index, Depends(get_index)]
PagesDep = Annotated[Pages, Depends(get_pages)]
AccessDep = Annotated[Access, Depends(get_access)]
DefaultsDep = Annotated[policy.Defaults, Depends(get_defaults)]
InspectorsDep = Annotated[Inspectors, Depends(get_inspectors)]
ProbesDep = Annotated[Mapping[str, Probe], Depends(get_probes)]
BaseUrlDep = Annotated[str, Depends(get_base_url)]
FileBaseUrlDep = Annotated[str, Depends(get_file_base_url)]
OutsideUrlDep = Annotated[str | None, Depends(get_outside_url)]


async def get_identity(request: Request, access: AccessDep) -> Identity | None:
    """Who asks (RFC 7617), or None where no credentials were sent.

    Raises errors.Unauthenticated for credentials that are wrong or unreadable: whoever
    sends some wants to be known.
    """
    sent = request.headers.getlist("authorization")
    if not sent:
        return None
    if len(sent) > 1:
        raise errors.Unauthenticated
    username, password = _basic(sent[0])
    identity = await access.identify(username, password)
    if identity is None:
        raise errors.Unauthenticated
    return identity


IdentityDep = Annotated[Identity | None, Depends(get_identity)]


def _basic(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise errors.Unauthenticated
    try:
        pair = base64.b64decode(encoded.strip(" "), validate=True)
    except ValueError:  # no base64, or not even ASCII
        raise errors.Unauthenticated from None
    try:
        decoded = pair.decode("utf-8")
    except UnicodeDecodeError:  # pip, twine and poetry send Latin-1 where that is enough
        decoded = pair.decode("latin-1")
    username, colon, password = decoded.partition(":")
    if not colon or "\0" in decoded:
        raise errors.Unauthenticated
    return username, password


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
    policy.decide(identity, permission, project, grants, state["defaults"])


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


async def get_admin(identity: IdentityDep) -> Identity:
    """Whoever asks, if an admin."""
    if identity is None:
        raise errors.Unauthenticated
    if not identity.admin:
        raise errors.Forbidden("Only an admin may do this.")
    return identity


AdminDep = Annotated[Identity, Depends(get_admin)]

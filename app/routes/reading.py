"""What every reading door shares: one way to projects and files, past the rights.

No door of this room takes a file or a project from the index itself, so none can forget
to ask whether the caller may read it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Depends, Request, Response
from packaging.utils import NormalizedName

from app import errors, names
from app.access import policy
from app.access.base import Access
from app.dependencies import (
    AccessDep,
    DefaultsDep,
    IdentityDep,
    IndexDep,
    OfferDep,
    UpstreamsDep,
)
from app.hot.offer import Offer
from app.index import Index
from app.models import Identity, Permission, Project, ProjectSummary
from app.pages import Page
from app.routes import conditional
from app.routes.schemas import FAILURES, Failure
from app.routes.shown import Abroad, Handed, Right, Shown
from app.upstream.upstreams import Upstreams
from app.upstream.wanted import Wanted

_QUERY = "!$%&'()*+,-./:;=?@_~"


class Reader:
    """The index as one caller may see it."""

    def __init__(
        self,
        index: Index,
        access: Access,
        defaults: policy.Defaults,
        identity: Identity | None,
        offer: Offer,
        upstreams: Upstreams,
    ) -> None:
        self._index, self._access, self._defaults = index, access, defaults
        self._offer, self.upstreams = offer, upstreams
        self.identity = identity

    async def project(self, name: NormalizedName) -> Shown:
        """Raises errors.ProjectNotFound, errors.Unauthenticated, errors.Forbidden."""
        try:
            project = await self._index.project(name)
        except errors.ProjectNotFound:
            await self._admit(name, await self._index.generation(name))
            if not self.upstreams.serving(name):
                self._offer.hold()
            raise
        return Shown(project, await self._admit(name, project.generation))

    async def listed(self, name: NormalizedName, *, beside: bool = True) -> Shown | Abroad:
        """A project of ours, or else of an upstream; raises errors.Unreachable as well.

        ``beside``: whether upstreams are asked for what stands beside a project of ours.
        """
        if not self.upstreams.serving(name):
            return await self.project(name)
        try:
            project = await self._index.project(name)
        except errors.ProjectNotFound:
            generation = await self._index.generation(name)
            return await self._abroad(name, await self._right(name, generation), None)
        right = await self._right(name, project.generation)
        shown = Shown(project, right.public)
        if not beside or not self.upstreams.shows_beside(project):
            return shown
        try:
            return await self._abroad(name, right, project)
        except errors.ProjectNotFound:
            return shown

    async def entry(self, name: NormalizedName, filename: str) -> tuple[Abroad, Wanted]:
        """A file of an upstream; to be asked where ``file`` found none.

        Raises errors.FileNotFound, errors.Withheld, errors.Unreachable and what ``file`` does.
        """
        if not self.upstreams.serving(name):
            raise errors.FileNotFound(name, filename)
        try:
            own = await self._index.project(name)
        except errors.ProjectNotFound:
            own = None
        if own is not None and not self.upstreams.shows_beside(own):
            raise errors.FileNotFound(name, filename)
        if own is not None and any(file.filename == filename for file in own.files):
            raise errors.FileNotFound(name, filename)  # one of ours, and deleted
        try:
            generation = await self._index.generation(name)
            abroad = await self._abroad(name, await self._right(name, generation), own)
            return abroad, self.upstreams.entry(abroad.relayed, filename)
        except errors.ProjectNotFound:
            raise errors.FileNotFound(name, filename) from None

    async def _abroad(self, name: NormalizedName, right: Right, own: Project | None) -> Abroad:
        grants = right.grants
        fetches = policy.fetches(self.identity, name, right.generation, grants, self._defaults)
        if not fetches and self.upstreams.keeps_all(name):
            self._refuse_to_keep(name, own)
        relayed = await self.upstreams.project(name)
        if not fetches and not relayed.direct:
            self._refuse_to_keep(name, own)
        alike = not grants and policy.fetching_follows_reading(self._defaults)
        return Abroad(
            relayed,
            right.public,
            direct=relayed.direct or not fetches,
            alike=relayed.direct or alike,
            own=own,
        )

    def _refuse_to_keep(self, name: NormalizedName, own: Project | None) -> None:
        """Whoever may not have files kept here sees none, or is sent there by a setting."""
        if own is not None and not self.upstreams.show_always:
            raise errors.ProjectNotFound(name)
        if self.identity is None:
            raise errors.Unauthenticated
        if not self.upstreams.show_always:
            raise errors.ProjectNotFound(name)

    async def file(self, name: NormalizedName, filename: str) -> Handed:
        """A published file.

        Raises errors.FileNotFound, errors.Quarantined, errors.Unauthenticated,
        errors.Forbidden; the last two come first.
        """
        try:
            file = await self._index.file(name, filename)
        except (errors.NotFound, errors.Quarantined):
            await self._admit(name, await self._index.generation(name))
            raise
        return Handed(file, await self._admit(name, file.generation))

    async def visible(self, summaries: Sequence[ProjectSummary]) -> list[ProjectSummary]:
        """Those of the projects that the caller may read, in the same order.

        Raises errors.Unauthenticated where the anonymous may read none of them, nor any by
        default: clients then ask for credentials.
        """
        seen = await self.among(summaries)
        if not seen and self.identity is None and not self.by_default:
            raise errors.Unauthenticated
        return seen

    async def among(self, summaries: Sequence[ProjectSummary]) -> list[ProjectSummary]:
        """Those of the projects that the caller may read, which may be none."""
        if self.identity is not None and self.identity.admin and self.identity.scope is None:
            return list(summaries)
        every = await self._access.all_grants() if summaries else {}
        own = {
            line.name: grants
            for line in (summaries if every else ())
            if (grants := policy.of(every, line.name, line.generation))
        }
        return policy.readable(self.identity, summaries, own, self._defaults)

    @property
    def by_default(self) -> bool:
        """Whether the caller may read the projects that have no grants of their own."""
        return policy.reads_by_default(self.identity, self._defaults)

    async def _admit(self, name: NormalizedName, generation: str | None) -> bool:
        return (await self._right(name, generation)).public

    async def _right(self, name: NormalizedName, generation: str | None) -> Right:
        """Raises errors.Unauthenticated, errors.Forbidden where the caller may not read it."""
        grants = await self._access.grants(name, generation)
        policy.decide(self.identity, Permission.READ, name, generation, grants, self._defaults)
        self._offer.see(name, generation, grants)
        public = policy.allows(None, Permission.READ, name, generation, grants, self._defaults)
        return Right(generation, grants, public)


async def get_reader(
    index: IndexDep,
    access: AccessDep,
    defaults: DefaultsDep,
    identity: IdentityDep,
    offer: OfferDep,
    upstreams: UpstreamsDep,
) -> Reader:
    """The index as whoever asks may see it."""
    return Reader(index, access, defaults, identity, offer, upstreams)


ReaderDep = Annotated[Reader, Depends(get_reader)]


def project_name(project: str) -> NormalizedName:
    """The normalised name; errors.ProjectNotFound for what cannot be one."""
    try:
        return names.normalize(project)
    except errors.InvalidName:
        raise errors.ProjectNotFound(project) from None


def moved(request: Request, base: str, path: str) -> Response:
    """301 to another path of ours, the query kept.

    The location has no host: clients drop their credentials when the host changes, and
    the one that the request names is not to be trusted.
    """
    query = quote(request.scope["query_string"], safe=_QUERY)
    location = quote(f"{urlsplit(base).path}{path}", safe="/%!+")
    return Response(
        status_code=301, headers={"Location": f"{location}?{query}" if query else location}
    )


def page_response(
    request: Request, page: Page, *, public: bool, vary: Iterable[str] = ()
) -> Response:
    """The page; 304 for whoever has it already; for HEAD without its body."""
    headers = {
        "ETag": page.etag,
        "X-PyPI-Last-Serial": str(page.serial),
        "X-Content-Type-Options": "nosniff",
        **conditional.cache_headers(conditional.FRESH, public=public, vary=tuple(vary)),
    }
    if conditional.not_modified(request.headers.getlist("if-none-match"), page.etag):
        return Response(status_code=304, headers=headers)
    headers["Content-Type"] = page.content_type
    headers["Content-Length"] = str(len(page.body))
    if page.coding != "identity":
        headers["Content-Encoding"] = page.coding.value
    return Response(b"" if request.method == "HEAD" else page.body, headers=headers)


def door(
    router: APIRouter,
    *paths: str,
    described: bool = True,
    types: Sequence[str] = (),
    responses: Mapping[int, str] | None = None,
    **options: Any,
) -> Callable[[Any], Any]:
    """Route GET and HEAD at each path; OpenAPI describes the first alone, if at all.

    ``types`` are the media types of a success, ``responses`` what other codes mean here.
    """
    described_as: dict[int | str, dict[str, Any]] = {
        **FAILURES,
        200: {"description": "Found.", "content": {type: {} for type in types}},
        304: {"description": "Unchanged since the client got it."},
        **{
            code: {"description": meaning, **({"model": Failure} if code >= 400 else {})}
            for code, meaning in (responses or {}).items()
        },
    }

    def route(endpoint: Any) -> Any:
        for path in paths:
            router.get(
                path,
                include_in_schema=described and path == paths[0],
                response_class=Response,
                responses=described_as,
                **options,
            )(endpoint)
            router.head(path, include_in_schema=False, response_class=Response)(endpoint)
        return endpoint

    return route

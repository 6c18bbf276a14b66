"""Uploading: the legacy API, at every URL that clients know it by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from app import errors, names
from app.access.ledger import Ledger
from app.access.limits import network_of
from app.access.principals import EVERYONE
from app.dependencies import (
    AttestorDep,
    CatalogueDep,
    DefaultsDep,
    IdentityDep,
    IndexDep,
    InspectorsDep,
    LedgerDep,
    LimitsDep,
    SettingsDep,
    authorize,
    get_identity,
)
from app.index import Index
from app.index.publish import Published
from app.metrics import Meters
from app.metrics.refusals import reason
from app.models import Actor, Identity, Permission
from app.reports import client_address, reporting
from app.routes import aftermath, xmlrpc
from app.routes.claims import ClaimsDep
from app.routes.quotas import require_room
from app.routes.reading import ReaderDep
from app.routes.recording import ANONYMOUS, RecorderDep
from app.routes.router import Router
from app.routes.schemas import FAILURES, Failure
from app.routes.trusted import Uploading, attested, publisher_of
from app.state import of as _state
from app.upload import form as forms
from app.upload.accept import accept
from app.upload.form import Fields, Form

router = Router(tags=["upload"])

ACTION = ":action"
"""The one field that clients may also put into the query."""

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [ACTION, "name", "version", "filetype", "content"],
                    "properties": {
                        ACTION: {"type": "string", "enum": ["file_upload"]},
                        "protocol_version": {"type": "string", "enum": ["1"]},
                        "name": {"type": "string"},
                        "version": {"type": "string"},
                        "filetype": {"type": "string", "enum": ["bdist_wheel", "sdist"]},
                        "pyversion": {"type": "string", "description": "required for wheels"},
                        "metadata_version": {"type": "string"},
                        "sha256_digest": {"type": "string", "description": "hexadecimal"},
                        "blake2_256_digest": {"type": "string", "description": "hexadecimal"},
                        "md5_digest": {"type": "string", "description": "hexadecimal"},
                        "content": {"type": "string", "format": "binary"},
                    },
                }
            }
        },
    }
}

_ANSWERS: dict[int | str, dict[str, Any]] = {
    **{code: FAILURES[code] for code in (400, 401, 403, 503)},
    200: {
        "description": "It is published, or was before; a warning may be told.",
        "content": {"text/plain": {}},
    },
    410: {"model": Failure, "description": "An action of former times."},
    413: {"model": Failure, "description": "The file or the form is too large."},
}


async def get_uploader(identity: IdentityDep, defaults: DefaultsDep) -> Identity | None:
    """Who uploads, known before the body is read.

    Raises errors.Unauthenticated for the anonymous, unless everyone may upload.
    """
    if identity is None and EVERYONE not in defaults.upload:
        raise errors.Unauthenticated
    return identity


UploaderDep = Annotated[Identity | None, Depends(get_uploader)]


@dataclass(frozen=True, slots=True)
class Desk:
    """What takes an upload in."""

    index: IndexDep
    inspectors: InspectorsDep
    settings: SettingsDep
    limits: LimitsDep
    claims: ClaimsDep
    record: RecorderDep
    ledger: LedgerDep
    attestor: AttestorDep
    catalogue: CatalogueDep


async def get_desk(
    index: IndexDep,
    inspectors: InspectorsDep,
    settings: SettingsDep,
    limits: LimitsDep,
    claims: ClaimsDep,
    record: RecorderDep,
    ledger: LedgerDep,
    attestor: AttestorDep,
    catalogue: CatalogueDep,
) -> Desk:
    """What takes an upload in."""
    return Desk(index, inspectors, settings, limits, claims, record, ledger, attestor, catalogue)


DeskDep = Annotated[Desk, Depends(get_desk)]


@dataclass(frozen=True, slots=True)
class Taken:
    """What an upload did; ``passed_over``: its project has a trusted publisher, which it is not."""

    published: Published
    passed_over: bool


async def upload(request: Request, uploader: UploaderDep, desk: DeskDep) -> Response:
    """Publish one wheel or sdist; the same file again changes nothing and succeeds.

    Refusals say why in `message` and `code`, and in the reason phrase.
    """
    taken = await take(request, uploader, desk)
    said = "OK\n"
    if taken.passed_over:
        said += aftermath.PASSED_OVER.format(project=taken.published.file.project)
    return Response(said, media_type="text/plain", headers={"Cache-Control": "no-store"})


async def take(
    request: Request,
    uploader: Identity | None,
    desk: Desk,
    *,
    name: str | None = None,
    complete: Callable[[Form], Form] = lambda form: form,
) -> Taken:
    """Publish what the request's form holds.

    ``name`` is the project where the URL names it; ``complete`` adds what forms of former times
    do not say.
    """
    index, limits, settings = desk.index, desk.limits, desk.settings

    asked: dict[tuple[str, ...], Uploading | None] = {}

    async def may_upload(fields: Fields) -> Uploading | None:
        named = fields.get("name", ()) if name is None else (name,)
        if named not in asked:
            asked[named] = await _authorize(request, uploader, index, desk.ledger, named)
        return asked[named]

    actor = uploader.actor if uploader else ANONYMOUS
    meters = _state(request)["meters"]
    with counting_refusals(meters):
        await limits.spend(limits.upload(counted(request, actor)))
        async with forms.receive(
            request.stream(),
            content_type=request.headers.get("content-type", ""),
            spool=settings.spool,
            max_file_size=settings.max_file_size,
            on_fields=may_upload,
        ) as form:
            form = _with_action(request, form)
            trusted = await may_upload(form.fields)
            with noting_refusals(request, form):
                form = complete(form)
                distribution = await accept(
                    form, profile=settings.upload_profile, inspector=desk.inspectors
                )
                distribution = await attested(form.fields, distribution, trusted, desk.attestor)
                if await index.generation(distribution.project) is None:
                    await limits.spend(limits.project(counted(request, actor)))
                await require_room(settings.quotas, index, desk.catalogue, distribution)
                # What was proved may have been taken away while the file came and was looked at.
                again = await get_identity(request)
                await _authorize(request, again, index, desk.ledger, (distribution.project,))
                published = await index.publish(distribution, actor)
    await desk.claims.follow(published, trusted.publisher.id if trusted else None)
    aside = await aftermath.tell(published, trusted, desk.ledger, desk.record, meters)
    return Taken(published, aside)


async def upload_or_call(
    request: Request,
    identity: IdentityDep,
    defaults: DefaultsDep,
    reader: ReaderDep,
    desk: DeskDep,
) -> Response:
    """An upload, or XML-RPC where the body is `text/xml`."""
    if xmlrpc.is_call(request):
        return await xmlrpc.answer(request, desk.index, reader)
    return await upload(request, await get_uploader(identity, defaults), desk)


# Every spelling is routed: clients abort on any redirect of an upload.
for path in ("/legacy/", "/legacy", "/", "/simple/", "/simple"):
    router.post(
        path,
        include_in_schema=path == "/legacy/",
        response_class=Response,
        responses=_ANSWERS,
        summary="Upload a distribution",
        openapi_extra=_BODY,
    )(upload)
for path in ("/pypi/", "/pypi"):
    router.post(path, include_in_schema=False, response_class=Response)(upload_or_call)


async def _authorize(
    request: Request,
    uploader: Identity | None,
    index: Index,
    ledger: Ledger,
    named: Sequence[str],
) -> Uploading | None:
    """Whether the uploader may upload to the project that the form names.

    The answer is the publisher that does, if one.

    A form that names none, or several, passes: the checks refuse it with the better reason.
    """
    match named:
        case (name,):
            project = names.normalize(name.strip())
            generation = await index.generation(project)
            await authorize(request, uploader, Permission.UPLOAD, project, generation)
            return await publisher_of(uploader, ledger, index, project)
    return None


@contextmanager
def noting_refusals(request: Request, form: Form) -> Iterator[None]:
    """A file that breaks a rule, or whose name is taken, is worth an entry."""
    try:
        yield
    except (errors.Invalid, errors.Refused, errors.TooLarge):
        project = "".join(form.fields.get("name", ())[:1])
        filename = form.content.filename if form.content else ""
        reporting(request)("file.refuse", target=f"file:{project}/{filename}")
        raise


@contextmanager
def counting_refusals(meters: Meters) -> Iterator[None]:
    """What is refused is counted by its reason."""
    try:
        yield
    except errors.PypicloudError as error:
        meters.count("upload_refusals", reason(error)).value += 1
        raise


def counted(request: Request, actor: Actor) -> str:
    """Whose uploads are counted together; of the anonymous, those from one address."""
    if actor == ANONYMOUS:
        return network_of(client_address(request))
    return f"{actor.kind}:{actor.id}"


def _with_action(request: Request, form: Form) -> Form:
    asked = request.query_params.getlist(ACTION)
    if not asked or ACTION in form.fields:
        return form
    return replace(form, fields={**form.fields, ACTION: tuple(asked)})

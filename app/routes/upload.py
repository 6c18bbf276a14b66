"""Uploading: the legacy API, at every URL that clients know it by."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from app import errors, names
from app.access.principals import EVERYONE
from app.dependencies import (
    DefaultsDep,
    IdentityDep,
    IndexDep,
    InspectorsDep,
    SettingsDep,
    authorize,
)
from app.index import Index
from app.models import Actor, Identity, Permission
from app.routes import xmlrpc
from app.routes.reading import ReaderDep
from app.routes.schemas import FAILURES, Failure
from app.upload import form as forms
from app.upload.accept import accept
from app.upload.form import Fields, Form

router = APIRouter(tags=["upload"])

ANONYMOUS = Actor(kind="anonymous", id="")
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
    200: {"description": "It is published, or was before.", "content": {"text/plain": {}}},
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


async def upload(
    request: Request,
    uploader: UploaderDep,
    index: IndexDep,
    inspectors: InspectorsDep,
    settings: SettingsDep,
) -> Response:
    """Publish one wheel or sdist; the same file again changes nothing and succeeds.

    Refusals say why in `message` and `code`, and in the reason phrase.
    """

    async def may_upload(fields: Fields) -> None:
        await _authorize(request, uploader, index, fields)

    async with forms.receive(
        request.stream(),
        content_type=request.headers.get("content-type", ""),
        spool=settings.spool,
        max_file_size=settings.max_file_size,
        on_fields=may_upload,
    ) as form:
        form = _with_action(request, form)
        await may_upload(form.fields)
        distribution = await accept(form, profile=settings.upload_profile, inspector=inspectors)
        await index.publish(distribution, uploader.actor if uploader else ANONYMOUS)
    return Response("OK\n", media_type="text/plain", headers={"Cache-Control": "no-store"})


async def upload_or_call(
    request: Request,
    identity: IdentityDep,
    defaults: DefaultsDep,
    index: IndexDep,
    inspectors: InspectorsDep,
    settings: SettingsDep,
    reader: ReaderDep,
) -> Response:
    """An upload, or XML-RPC where the body is `text/xml`."""
    if xmlrpc.is_call(request):
        return await xmlrpc.answer(request, index, reader)
    uploader = await get_uploader(identity, defaults)
    return await upload(request, uploader, index, inspectors, settings)


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
    request: Request, uploader: Identity | None, index: Index, fields: Fields
) -> None:
    """Whether the uploader may upload to the project that the form names.

    A form that names none, or several, passes: the checks refuse it with the better reason.
    """
    match fields.get("name", ()):
        case (name,):
            project = names.normalize(name.strip())
            generation = await index.generation(project)
            await authorize(request, uploader, Permission.UPLOAD, project, generation)


def _with_action(request: Request, form: Form) -> Form:
    asked = request.query_params.getlist(ACTION)
    if not asked or ACTION in form.fields:
        return form
    return replace(form, fields={**form.fields, ACTION: tuple(asked)})

"""``/upload``: files dragged into a page, or chosen one at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, Request, Response

from app import errors, names
from app.dependencies import (
    ChronicleDep,
    IndexDep,
    InspectorsDep,
    LedgerDep,
    LimitsDep,
    SettingsDep,
    authorize,
    visiting,
)
from app.models import Permission
from app.reports import IDENTITY
from app.routes import aftermath, browsing, showing
from app.routes.browsing import VisitDep
from app.routes.claims import ClaimsDep
from app.routes.recording import Recorder
from app.routes.upload import (
    counted,
    counting_refusals,
    noting_refusals,
)
from app.routes.web.viewing import RootDep, pages
from app.state import of as _state
from app.upload import form as forms
from app.upload.accept import accept
from app.upload.form import Fields
from app.upload.spool import Spooled
from app.web.acts import UploadedView

router = pages()


@dataclass(frozen=True, slots=True)
class Checks:
    """What looks at an upload before it is published."""

    inspectors: InspectorsDep
    limits: LimitsDep
    claims: ClaimsDep
    ledger: LedgerDep


async def get_checks(
    inspectors: InspectorsDep, limits: LimitsDep, claims: ClaimsDep, ledger: LedgerDep
) -> Checks:
    """All of it."""
    return Checks(inspectors, limits, claims, ledger)


ChecksDep = Annotated[Checks, Depends(get_checks)]


async def show(request: Request, visit: VisitDep) -> Response:
    """The page."""
    return browsing.page(request, "upload.html", uploaded=None)


async def upload(
    request: Request,
    visit: VisitDep,
    index: IndexDep,
    settings: SettingsDep,
    chronicle: ChronicleDep,
    checks: ChecksDep,
    root: RootDep,
) -> Response:
    """Publish one file; what a client of the legacy API says beside it is in its name."""
    browsing.check_origin(request)
    identity = visit.identity
    request.scope[IDENTITY] = identity

    async def is_ours(fields: Fields) -> None:
        if not visit.carries("".join(fields.get("csrf", ())[:1])):
            raise errors.Forbidden("This form is too old; load the page again.")

    meters = _state(request)["meters"]
    await checks.limits.spend(checks.limits.upload(counted(request, identity.actor)))
    async with forms.receive(
        request.stream(),
        content_type=request.headers.get("content-type", ""),
        spool=settings.spool,
        max_file_size=settings.max_file_size,
        on_fields=is_ours,
    ) as form:
        await is_ours(form.fields)
        fields = described(form.content)
        name = names.normalize(fields["name"][0])
        generation = await index.generation(name)
        await authorize(request, identity, Permission.UPLOAD, name, generation)
        form = replace(form, fields=fields)
        with counting_refusals(meters), noting_refusals(request, form):
            distribution = await accept(
                form, profile=settings.upload_profile, inspector=checks.inspectors
            )
            if generation is None:
                await checks.limits.spend(checks.limits.project(counted(request, identity.actor)))
            # The session or the right may have ended while the file came and was looked at.
            again = await visiting(request)
            if again is None:
                raise errors.Unauthenticated
            await authorize(request, again.identity, Permission.UPLOAD, name, generation)
            published = await index.publish(distribution, identity.actor)
    await checks.claims.follow(published, None)
    record = Recorder(index, chronicle, request, identity)
    aside = await aftermath.tell(published, None, checks.ledger, record, meters)
    file = published.file
    view = UploadedView(
        filename=file.filename,
        sha256=file.hashes.sha256,
        new=published.new,
        passed_over=aside,
        url=f"{root}/project/{file.project}/{file.version}/",
    )
    if showing.wants(request) == showing.JSON:
        return showing.show(request, "upload.html", view)
    return browsing.page(request, "upload.html", uploaded=view)


def described(content: Spooled | None) -> Fields:
    """The fields of the upload form, from the name of the file that came.

    Raises errors.InvalidUpload for what is called like neither wheel nor sdist.
    """
    filename = content.filename if content else ""
    parts = filename.split("-")
    if content is None:
        raise errors.InvalidUpload("Choose a file.")
    if filename.endswith(".whl") and len(parts) in (5, 6):
        name, version, python, kind = parts[0], parts[1], parts[-3], "bdist_wheel"
    elif filename.endswith(".tar.gz") and len(parts) > 1:
        stem = filename.removesuffix(".tar.gz")
        name, _, version = stem.rpartition("-")
        python, kind = "source", "sdist"
    else:
        raise errors.InvalidUpload("Upload a wheel (.whl) or an sdist (.tar.gz).")
    given = {
        ":action": "file_upload",
        "name": name,
        "version": version,
        "pyversion": python,
        "filetype": kind,
        "sha256_digest": content.hashes.sha256,
    }
    return {key: (value,) for key, value in given.items()}


router.add_api_route("/upload", show, methods=["GET", "HEAD"])
router.add_api_route("/upload", upload, methods=["POST"])

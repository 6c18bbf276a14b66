"""``/project/{project}/manage``: yank, delete, restore, status and grants, by forms.

Each act is one that ``/api/v1`` has; what it does is said before it is done, and it is in the
audit trail. What cannot be undone asks for the name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request, Response
from packaging.utils import NormalizedName
from pydantic import ValidationError

from app import errors
from app.access.base import Access, Grants, editable
from app.access.sessions import Visit
from app.dependencies import AccessDep, BaseUrlDep, ChronicleDep, IndexDep, authorize
from app.index import Index
from app.models import Identity, Permission, Project, Status
from app.reports import IDENTITY
from app.routes import api, browsing, grants
from app.routes.access_schemas import GrantPut
from app.routes.browsing import Elsewhere, Form, VisitDep, one
from app.routes.reading import project_name
from app.routes.recording import Recorder
from app.routes.schemas import StatusChange, YankChange
from app.routes.web.viewing import RootDep, pages
from app.web import releases
from app.web.acts import DeletedFile, GrantView, ManagedRelease, ManageView

router = pages()

DONE = frozenset(
    {
        "yank",
        "unyank",
        "delete-file",
        "restore-file",
        "status",
        "grant",
    }
)
"""Acts after which one is at the same page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Managing:
    """Somebody who manages a project, and what that takes."""

    name: NormalizedName
    identity: Identity
    visit: Visit
    index: Index
    access: Access
    record: Recorder
    base: str


async def get_managing(
    request: Request,
    project: str,
    visit: VisitDep,
    index: IndexDep,
    access: AccessDep,
    chronicle: ChronicleDep,
    base: BaseUrlDep,
) -> Managing:
    """Raises errors.Forbidden for whoever does not manage the path's project."""
    name = project_name(project)
    request.scope[IDENTITY] = visit.identity
    generation = await index.generation(name)
    await authorize(request, visit.identity, Permission.MANAGE, name, generation)
    return Managing(
        name=name,
        identity=visit.identity,
        visit=visit,
        index=index,
        access=access,
        record=Recorder(index, chronicle, request, visit.identity),
        base=base,
    )


ManagingDep = Annotated[Managing, Depends(get_managing)]


async def show(
    request: Request,
    managing: ManagingDep,
    root: RootDep,
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """All that may be done, and what it would do."""
    return await _page(request, managing, root, done=done if done in DONE else "")


async def act(request: Request, managing: ManagingDep, root: RootDep) -> Response:
    """Do one of it."""
    sent = await browsing.own_form(request, managing.visit)
    wanted = one(sent, "act")
    if wanted not in ACTS:
        raise errors.Invalid("There is no such act.")
    try:
        await ACTS[wanted](managing, sent)
    except (errors.Invalid, errors.UserNotFound, errors.GroupNotFound) as wrong:
        return await _page(request, managing, root, message=str(wrong), status=400)
    if wanted == "delete-project":
        return browsing.go(request, "/")
    return browsing.go(request, f"/project/{managing.name}/manage?done={wanted}")


async def _page(
    request: Request,
    managing: Managing,
    root: str,
    *,
    done: str = "",
    message: str = "",
    status: int = 200,
) -> Response:
    project = await managing.index.present(managing.name)
    granted = await managing.access.grants(managing.name, project.generation)
    return browsing.page(
        request,
        "manage.html",
        status=status,
        view=_view(project, granted, root),
        statuses=list(Status),
        permissions=[Permission.READ, Permission.UPLOAD, Permission.MANAGE, Permission.FETCH],
        done=done,
        message=message,
    )


def _view(project: Project, granted: Grants, root: str) -> ManageView:
    return ManageView(
        name=project.name,
        display_name=project.display_name,
        url=f"{root}/project/{project.name}/",
        status=project.status,
        status_reason=project.status_reason or "",
        releases=[
            ManagedRelease(
                version=one.version,
                yanked=one.yanked,
                files=tuple(file.filename for file in one.files),
            )
            for one in releases.grouped(project.published)
        ],
        deleted=[
            DeletedFile(filename=file.filename, time=file.changed) for file in project.restorable
        ],
        grants=[
            GrantView(principal=who, permissions=tuple(sorted(rights)))
            for who, rights in sorted(granted.items())
        ],
    )


async def _yank(managing: Managing, sent: Form) -> None:
    reason = one(sent, "reason").strip()
    change = YankChange(yanked=reason or True)
    await _yanked(managing, sent, change)


async def _unyank(managing: Managing, sent: Form) -> None:
    await _yanked(managing, sent, YankChange(yanked=False))


async def _yanked(managing: Managing, sent: Form, change: YankChange) -> None:
    await api.yank_release(
        managing.name,
        one(sent, "version"),
        change,
        managing.index,
        managing.identity,
        managing.base,
        managing.record,
    )


async def _delete_file(managing: Managing, sent: Form) -> None:
    filename = one(sent, "filename")
    _confirm(sent, filename)
    await api.delete_file(
        managing.name, filename, managing.index, managing.identity, managing.record
    )


async def _restore_file(managing: Managing, sent: Form) -> None:
    await api.restore_file(
        managing.name,
        one(sent, "filename"),
        managing.index,
        managing.identity,
        managing.base,
        managing.record,
    )


async def _set_status(managing: Managing, sent: Form) -> None:
    try:
        reason = one(sent, "reason").strip() or None
        change = StatusChange(status=Status(one(sent, "status")), reason=reason)
    except ValueError:
        raise errors.Invalid("There is no such status.") from None
    await api.set_status(
        managing.name, change, managing.index, managing.identity, managing.base, managing.record
    )


async def _delete_project(managing: Managing, sent: Form) -> None:
    _confirm(sent, managing.name)
    await api.delete_project(managing.name, managing.index, managing.identity, managing.record)


async def _grant(managing: Managing, sent: Form) -> None:
    """Rights matter more: whoever logged in long ago does so again."""
    if not managing.visit.proved(browsing.now()):
        raise Elsewhere(f"/login?next=/project/{managing.name}/manage")
    try:
        wanted = GrantPut.model_validate({"permissions": sent.get("permission", [])})
    except ValidationError:
        raise errors.Invalid("There is no such right.") from None
    await grants.put_grant(
        managing.name,
        one(sent, "principal").strip(),
        wanted,
        managing.identity,
        editable(managing.access),
        managing.index,
        managing.record,
    )


def _confirm(sent: Form, name: str) -> None:
    if one(sent, "confirm").strip() != name:
        raise errors.Invalid(f"Type '{name}' to confirm; nothing was done.")


Act = Callable[[Managing, Form], Awaitable[None]]
ACTS: Mapping[str, Act] = {
    "yank": _yank,
    "unyank": _unyank,
    "delete-file": _delete_file,
    "restore-file": _restore_file,
    "status": _set_status,
    "delete-project": _delete_project,
    "grant": _grant,
}

router.add_api_route("/project/{project}/manage", show, methods=["GET", "HEAD"])
router.add_api_route("/project/{project}/manage", act, methods=["POST"])

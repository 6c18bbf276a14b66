"""``/integrity/…/provenance``: what a file's build attests, verified when it came (PEP 740)."""

from __future__ import annotations

from fastapi import Request, Response

from app import errors
from app.answers import ErrorResponse
from app.dependencies import BaseUrlDep, IndexDep
from app.names import canonical_version
from app.routes import conditional, streaming
from app.routes.reading import ReaderDep, door, moved, project_name
from app.routes.router import Router
from app.simple.negotiate import preferred

router = Router(tags=["integrity"])

TYPES = ("application/vnd.pypi.integrity.v1+json", "application/json")


@door(
    router,
    "/integrity/{project}/{version}/{filename}/provenance",
    types=TYPES,
    responses={301: "The project's normalised name.", 406: "No type that the client takes."},
    summary="Show a file's provenance",
)
async def provenance(
    request: Request,
    project: str,
    version: str,
    filename: str,
    reader: ReaderDep,
    index: IndexDep,
    base: BaseUrlDep,
) -> Response:
    """The attestations of a file, with the publisher that each was verified to be of."""
    name = project_name(project)
    if name != project:
        return moved(request, base, f"/integrity/{name}/{version}/{filename}/provenance")
    accept = request.headers.getlist("accept")
    chosen = preferred(",".join(accept) if accept else None, TYPES)
    if chosen is None:
        message = f"Provenance comes as {' or '.join(TYPES)}."
        return ErrorResponse(406, message, {"Vary": "Accept"})
    file, public = await reader.file(name, filename)
    same = canonical_version(file.version) == canonical_version(version)
    if not same or file.provenance_sha256 is None:
        raise errors.NotFound(f"No provenance is known of {filename!r}.")
    etag = f'"{file.provenance_sha256[:32]}-{TYPES.index(chosen)}"'
    headers = {
        "ETag": etag,
        **conditional.cache_headers(conditional.FRESH, public=public, vary=("Accept",)),
    }
    if conditional.not_modified(request.headers.getlist("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    body = await index.provenance(file)
    what = f"{file.filename}.provenance"
    await streaming.check(body, filename=what, sha256=file.provenance_sha256)
    headers |= {"Content-Type": chosen, "Content-Length": str(len(body))}
    return Response(b"" if request.method == "HEAD" else body, headers=headers)

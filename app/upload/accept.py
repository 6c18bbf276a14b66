"""From a form to a distribution: every check, the cheap ones first."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from app import errors
from app.models import Kind
from app.upload import contents, fields, filenames, metadata, rules
from app.upload.distribution import Distribution
from app.upload.form import Form
from app.upload.jsonform import core_fields
from app.upload.profile import Profile
from app.upload.spool import Spooled

_SUMMARY_LENGTH = 512


class Inspector(Protocol):
    """Whatever looks into archives."""

    async def inspect(
        self, path: Path, *, filename: str, kind: Kind, profile: Profile
    ) -> contents.Inspected:
        """What the archive at ``path`` holds. Raises errors.InvalidUpload for a bad one."""
        ...


async def accept(form: Form, *, profile: Profile, inspector: Inspector) -> Distribution:
    """What the form uploads, once everything about it is known to be right.

    The distribution's path is the form's spooled file: it is there as long as the form is.
    Raises errors.InvalidUpload, for an action of former times errors.ActionGone.
    """
    claim = fields.read(form.fields)
    content = check_has_file(form)
    named = filenames.check_filename(
        content.filename, project=claim.project, kind=claim.kind, profile=profile
    )
    filenames.check_version(named.version, claim.version)
    fields.check_digests(form.fields, content.hashes)
    inspected = await inspector.inspect(
        content.path, filename=content.filename, kind=claim.kind, profile=profile
    )
    # In a thread: the largest metadata takes most of a second.
    return await asyncio.to_thread(_conclude, claim, content, named, inspected, profile)


def check_has_file(form: Form) -> Spooled:
    """The form has a file."""
    if form.content is None:
        raise errors.InvalidUpload("Upload payload does not have a file.")
    return form.content


def _conclude(
    claim: fields.Claim,
    content: Spooled,
    named: filenames.Named,
    inspected: contents.Inspected,
    profile: Profile,
) -> Distribution:
    found = metadata.parse(inspected.metadata, profile)
    contents.check_agreement(claim, found)
    contents.check_license_files(found, inspected, kind=claim.kind, filename=content.filename)
    if profile == "strict":
        rules.check_rules(found.raw)
        contents.check_entry_points(inspected.entry_points, claim.project)
    requires_python = found.raw.get("requires_python")
    return Distribution(
        project=claim.project,
        display_name=found.name,
        version=found.version,
        filename=content.filename,
        kind=claim.kind,
        python_version=named.python_version,
        size=content.size,
        hashes=content.hashes,
        path=content.path,
        metadata=inspected.metadata,
        metadata_static=claim.kind is Kind.WHEEL or found.is_static,
        requires_python=usable(requires_python),
        summary=one_line(found.raw.get("summary", "")),
        comment=claim.comment,
        core=core_fields(found),
    )


def usable(requires_python: str | None) -> str | None:
    """None for a specifier that installers would choke on (only import lets it come so far)."""
    if requires_python is None or not rules.is_specifier(requires_python):
        return None
    return " ".join(requires_python.split())


def one_line(summary: str) -> str:
    return " ".join(summary.split())[:_SUMMARY_LENGTH]

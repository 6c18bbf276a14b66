"""The form of a file that came without one: all that it has to say is in filename and bytes."""

from __future__ import annotations

from packaging.utils import NormalizedName

from app.models import Kind
from app.upload import fields
from app.upload.filenames import check_filename
from app.upload.form import Fields, Form
from app.upload.profile import Profile
from app.upload.spool import Spooled

_DIGESTS = ("sha256_digest", "blake2_256_digest", "md5_digest")


def form(content: Spooled, name: NormalizedName, profile: Profile, given: Fields) -> Form:
    """A form as clients send it today, for a file of a project; ``given`` are fields that it had.

    Raises errors.InvalidUpload for a filename that none of the project's files may have.
    """
    filename = content.filename
    kind = Kind.WHEEL if filename.endswith(".whl") else Kind.SDIST
    named = check_filename(filename, project=name, kind=kind, profile=profile)
    known = {
        ":action": "file_upload",
        "name": name,
        "version": named.version,
        "filetype": kind.value,
        "pyversion": named.python_version,
    }
    if not any(fields.value(given, digest) for digest in _DIGESTS):
        known["sha256_digest"] = content.hashes.sha256
    return Form(fields={**given, **{key: (own,) for key, own in known.items()}}, content=content)

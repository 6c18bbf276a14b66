"""The filenames of wheels and sdists (binary-distribution-format, PEP 427, 491, 625).

Our own ASCII grammar comes first and decides; ``packaging`` has the last word only where
clients will read the name with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.utils import InvalidWheelFilename, NormalizedName, parse_wheel_filename

from app import errors, names
from app.models import Kind
from app.upload.platforms import is_known_platform
from app.upload.profile import Profile

_BUILD = re.compile(r"[0-9][A-Za-z0-9_.]*\Z")
_TAGS = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*\Z")
# The tags of a wheel are the product of its three sets (PEP 425); real ones have some dozens.
_TAG_PRODUCT = 512
_EXTENSIONS = {
    (Kind.WHEEL, "strict"): (".whl",),
    (Kind.WHEEL, "import"): (".whl",),
    (Kind.SDIST, "strict"): (".tar.gz",),
    (Kind.SDIST, "import"): (".tar.gz", ".zip"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a filename says. ``version`` is in PEP 440's normal form, ``python_version`` the
    interpreter tag of a wheel, ``source`` for an sdist."""

    version: str
    python_version: str


def check_filename(
    filename: str, *, project: NormalizedName, kind: Kind, profile: Profile
) -> Named:
    """The filename is one that this kind of file of this project may have.

    Raises errors.InvalidUpload. That the version is the right one is for check_version.
    """
    check_spelling(filename)
    stem = check_extension(filename, kind, profile)
    if kind is Kind.SDIST:
        version = check_sdist_name(stem, project, profile)
        return Named(version=version, python_version="source")
    spelled, spelled_version, build, tags = split_wheel(filename, stem)
    check_wheel_name(spelled, project, profile)
    version = check_wheel_version(spelled_version, profile)
    if build is not None:
        check_build(build)
    check_tags(tags)
    if profile == "strict":
        check_platforms(filename, tags[2])
        check_readable(filename)
    return Named(version=version, python_version=tags[0])


def check_spelling(filename: str) -> None:
    """A filename is plain ASCII, without any path, and fits a file system (NAM-9)."""
    if names.is_filename(filename):
        return
    if "/" in filename or "\\" in filename:
        reason = "it holds a path; send the last part alone"
    elif any(ord(character) < 32 or ord(character) == 127 for character in filename):
        reason = "it holds a control character"
    elif not filename.isascii():
        reason = "it holds a character that is not ASCII"
    elif len(filename) > 200:
        reason = "it is longer than 200 characters"
    else:
        reason = (
            "it has letters, digits, '.', '_', '+', '!' and '-', and begins with a letter or digit"
        )
    raise errors.InvalidUpload(f"Invalid filename: {reason}.")


def check_extension(filename: str, kind: Kind, profile: Profile) -> str:
    """The filename without its extension, which is one of the kind's (NAM-4)."""
    allowed = _EXTENSIONS[kind, profile]
    for extension in allowed:
        if filename.endswith(extension):
            return filename.removesuffix(extension)
    raise errors.InvalidUpload(
        f"Invalid file extension: Use {' or '.join(allowed)} for a file of type '{kind}'."
    )


def split_wheel(filename: str, stem: str) -> tuple[str, str, str | None, tuple[str, str, str]]:
    """Name, version, build and the three tag sets of a wheel, unchecked (NAM-1)."""
    parts = stem.split("-")
    if len(parts) == 7 or (len(parts) == 6 and not parts[2][:1].isdigit()):
        # PEP 825 is a draft: what a label means may change, and clients do not know it yet.
        raise errors.InvalidUpload(
            f"Invalid filename: '{filename}' has a build number that does not begin with a digit, "
            "or a wheel variant, which this index does not take."
        )
    if len(parts) not in {5, 6}:
        raise errors.InvalidUpload(
            f"Invalid filename: a wheel is called name-version(-build)-python-abi-platform.whl, "
            f"and '{filename}' has {len(parts)} parts."
        )
    build = parts[2] if len(parts) == 6 else None
    return parts[0], parts[1], build, (parts[-3], parts[-2], parts[-1])


def check_wheel_name(spelled: str, project: NormalizedName, profile: Profile) -> None:
    """The wheel is named after the project: in strict exactly so, in import in any spelling."""
    escaped = project.replace("-", "_")
    if spelled == escaped:
        return
    if profile == "strict" or not _is_spelling(spelled, project):
        raise errors.InvalidUpload(f"Start filename for '{project}' with '{escaped}'.")


def check_wheel_version(spelled: str, profile: Profile) -> str:
    """The version of a wheel's filename, in normal form (in strict it must be written so)."""
    parsed = names.parse_version(spelled)
    if parsed is None and profile == "import":
        # PEP 427 wrote a hyphen of the version as an underscore.
        parsed = names.parse_version(spelled.replace("_", "-"))
    if parsed is None:
        raise errors.InvalidUpload(f"Invalid filename: '{spelled}' is not a version (PEP 440).")
    if profile == "strict" and spelled != str(parsed):
        raise errors.InvalidUpload(f"Version in filename should be '{parsed}' not '{spelled}'.")
    return str(parsed)


def check_build(build: str) -> None:
    """A build number begins with a digit (NAM-1, NAM-12)."""
    if not _BUILD.match(build):
        raise errors.InvalidUpload(f"Invalid filename: '{build}' is not a build number.")


def check_tags(tags: tuple[str, str, str]) -> None:
    """Tag sets are well formed and few; which interpreter and ABI they name is free (NAM-7)."""
    product = 1
    for tag in tags:
        if not _TAGS.match(tag):
            raise errors.InvalidUpload(f"Invalid filename: '{tag}' is not a compatibility tag.")
        product *= tag.count(".") + 1
    if product > _TAG_PRODUCT:
        raise errors.InvalidUpload(
            f"Invalid filename: its compatibility tags make {product:,} combinations; "
            f"at most {_TAG_PRODUCT} are taken."
        )


def check_platforms(filename: str, platforms: str) -> None:
    """Every platform tag is one that installers know (NAM-6)."""
    for platform in platforms.split("."):
        if not is_known_platform(platform):
            raise errors.InvalidUpload(
                f"Binary wheel '{filename}' has an unsupported platform tag '{platform}'."
            )


def check_readable(filename: str) -> None:
    """Installers that read filenames with ``packaging`` can read this one."""
    try:
        parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise errors.InvalidUpload(
            f"Invalid filename: installers cannot read '{filename}'."
        ) from error


def check_sdist_name(stem: str, project: NormalizedName, profile: Profile) -> str:
    """The version of an sdist's filename; its name is the project's (NAM-3)."""
    if profile == "import":
        return _legacy_sdist_version(stem, project)
    escaped = project.replace("-", "_")
    spelled, _, spelled_version = stem.rpartition("-")
    if spelled != escaped:
        raise errors.InvalidUpload(f"Start filename for '{project}' with '{escaped}'.")
    parsed = names.parse_version(spelled_version)
    if parsed is None:
        raise errors.InvalidUpload(
            f"Invalid filename: '{spelled_version}' is not a version (PEP 440)."
        )
    if spelled_version != str(parsed):
        raise errors.InvalidUpload(
            f"Filename '{stem}.tar.gz' is invalid, should be '{escaped}-{parsed}.tar.gz'."
        )
    return str(parsed)


def check_version(in_filename: str, claimed: str) -> None:
    """The filename's version is, by PEP 440, the claimed one (NAM-5, NAM-10)."""
    if names.canonical_version(in_filename) != names.canonical_version(claimed):
        raise errors.InvalidUpload(
            f"Version in filename should be '{claimed}' not '{in_filename}'."
        )


def _legacy_sdist_version(stem: str, project: NormalizedName) -> str:
    """Before PEP 625 names and versions had hyphens both; the project says where to cut."""
    for cut in (match.start() for match in re.finditer("-", stem)):
        if _is_spelling(stem[:cut], project):
            parsed = names.parse_version(stem[cut + 1 :])
            if parsed is not None:
                return str(parsed)
    raise errors.InvalidUpload(
        f"Start filename for '{project}' with '{project}-' and a version (PEP 440)."
    )


def _is_spelling(spelled: str, project: NormalizedName) -> bool:
    try:
        return names.normalize(spelled) == project
    except errors.InvalidName:
        return False

"""Which file of which project a key of PyPICloud holds: by its filename, path and facts. Pure.

The filename decides, for that is what installers read. What was recorded, or else the
folder that the file lies in, has to agree: where a right on one project was enough to put
any file into its folder, a filename alone proves nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from packaging.utils import NormalizedName

from app import errors, names
from app.index import blobs
from app.index.journal import ROOT as JOURNAL
from app.index.lease import ROOT as LEASES
from app.index.legacy import Facts
from app.index.pending import ROOT as PENDING
from app.index.serials import BLOCKS, NOTES
from app.models import Kind
from app.storage import keys
from app.storage.probe import ROOT as PROBES
from app.upload import filenames
from app.upload.salvage import same_version

LONGEST = keys.MAX_KEY - len(blobs.ADOPTED) - len(blobs.METADATA)
"""Characters of a key to adopt: its core metadata needs a longer one."""

_KINDS = {".whl": Kind.WHEEL, ".tar.gz": Kind.SDIST, ".zip": Kind.SDIST}
_OURS = (
    re.compile(rf"{JOURNAL}[^/]+/[^/]+/\d{{10}}\.json"),
    re.compile(rf"{PENDING}\d{{8}}T\d\d/[0-9A-Z]{{26}}\.json"),
    re.compile(rf"{BLOCKS}\d{{10}}"),
    re.compile(rf"{NOTES}[^/]+\.json"),
    re.compile(rf"{LEASES}(?:begin|reindex/\d{{16}})/\d{{10}}\.json"),
    re.compile(r"downloads/\d{4}-\d\d-\d\d/(?:all|[0-9A-Z]{26})\.json"),
    re.compile(rf"{PROBES}[0-9A-Z]{{26}}"),
    re.compile(rf"{blobs.ADOPTED}.+{re.escape(blobs.METADATA)}"),
)
_BINARY = re.compile(r"\.(?:linux-\w+|macosx-[\d.]+-\w+|win32|win-\w+)\Z")
_OTHERS = (
    (re.compile(r"\.egg\Z"), "an egg; the index takes wheels and sdists (PEP 715)"),
    (
        re.compile(r"\.(?:exe|msi|rpm|deb|dmg|dumb)\Z"),
        "a bdist of a kind that indexes no longer take (PEP 527)",
    ),
    (
        re.compile(r"\.(?:tar\.bz2|tar\.xz|tar\.Z|tar|tgz|tbz)\Z"),
        "an archive of a kind that indexes no longer take; sdists end in .tar.gz or .zip (PEP 527)",
    ),
    (re.compile(r"\.asc\Z"), "a signature, not a distribution"),
    (re.compile(rf"{re.escape(blobs.SIDECAR)}\Z"), "a .meta file without a file beside it"),
)


class Unfit(Exception):
    """Why a key cannot be adopted, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The file that a key holds. ``spelled`` is its project's name as the filename has it."""

    project: NormalizedName
    spelled: str
    version: str
    filename: str
    kind: Kind
    python_version: str
    notes: tuple[str, ...] = ()


def is_ours(key: str) -> bool:
    """Whether this index wrote the key: by its whole shape, for projects may have such names."""
    return blobs.attempt(key) is not None or any(shape.fullmatch(key) for shape in _OURS)


def check_key(key: str) -> None:
    """Raises Unfit for a key that cannot be read, or not have core metadata."""
    try:
        keys.check(key)
    except ValueError:
        raise Unfit("its key has characters or segments that keys cannot have here") from None
    if len(key) > LONGEST:
        raise Unfit(f"its key is longer than {LONGEST} characters")


def kind_of(filename: str) -> Kind | None:
    """The kind of distribution; None for what is none."""
    return next((kind for end, kind in _KINDS.items() if filename.endswith(end)), None)


def identify(key: str, facts: Facts) -> Named:
    """What a key holds. Raises Unfit where that is no distribution, or not certain."""
    *folders, filename = key.split("/")
    if filename.startswith("."):
        raise Unfit("a temporary file of an upload that ended too early")
    kind = kind_of(filename)
    if kind is None:
        what = (what for shape, what in _OTHERS if shape.search(filename))
        raise Unfit(next(what, "not a distribution"))
    try:
        filenames.check_spelling(filename)
        if kind is Kind.WHEEL:
            named = _wheel(filename, facts, folders)
        else:
            named = _sdist(filename, facts, folders)
    except errors.Invalid as why:
        raise Unfit(str(why)) from None
    return named


def _wheel(filename: str, facts: Facts, folders: Sequence[str]) -> Named:
    spelled, version, build, tags = filenames.split_wheel(filename, filename.removesuffix(".whl"))
    if build is not None:
        filenames.check_build(build)
    filenames.check_tags(tags)
    project = names.normalize(spelled)
    trusted = _trusted(project, facts, folders, filename)
    if project not in trusted:
        raise _contradicted(facts, project)
    return Named(
        project=project,
        spelled=spelled.replace("_", "-"),
        version=_normal(version),
        filename=filename,
        kind=Kind.WHEEL,
        python_version=tags[0],
        notes=_notes(project, spelled, version, facts, folders),
    )


def _sdist(filename: str, facts: Facts, folders: Sequence[str]) -> Named:
    stem = filename.removesuffix(".tar.gz").removesuffix(".zip")
    if _BINARY.search(stem):
        raise Unfit("a bdist_dumb, of a kind that indexes no longer take (PEP 527)")
    cuts = list(_cuts(stem))
    if not cuts:
        raise Unfit("its filename has no name and version with a hyphen between them")
    trusted = [
        (spelled, version)
        for spelled, version in cuts
        if (project := names.normalize(spelled)) in _trusted(project, facts, folders, filename)
    ]
    if not trusted:
        raise _contradicted(facts, names.normalize(cuts[0][0]))
    fitting = [(spelled, version) for spelled, version in trusted if _is_version(version, facts)]
    if not fitting:
        raise Unfit("what follows the name in its filename is no version")
    # Names and versions had hyphens both; a version of PEP 440 is the likelier one.
    spelled, version = min(fitting, key=lambda cut: names.parse_version(cut[1]) is None)
    project = names.normalize(spelled)
    return Named(
        project=project,
        spelled=spelled,
        version=_normal(version),
        filename=filename,
        kind=Kind.SDIST,
        python_version="source",
        notes=_notes(project, spelled, version, facts, folders),
    )


def _cuts(stem: str) -> Iterable[tuple[str, str]]:
    """Every way to part a stem into a possible name and the rest."""
    for hyphen in re.finditer("-", stem):
        spelled, version = stem[: hyphen.start()], stem[hyphen.end() :]
        try:
            names.normalize(spelled)
        except errors.InvalidName:
            continue
        if version:
            yield spelled, version


def _is_version(version: str, facts: Facts) -> bool:
    if facts.version is not None and same_version(version, facts.version):
        return True
    return names.parse_version(version) is not None or version[0].isdigit()


def _normal(version: str) -> str:
    parsed = names.parse_version(version)
    return version if parsed is None else str(parsed)


def _trusted(
    project: NormalizedName, facts: Facts, folders: Sequence[str], filename: str
) -> frozenset[str]:
    """The projects that this file may belong to, by what was recorded or where it lies.

    Very old files lie in a folder that is named by the hash of their filename, and that
    alone; there the filename is believed.
    """
    if facts.name is not None:
        return frozenset({names.normalize(facts.name)})
    digest = hashlib.md5(filename.encode(), usedforsecurity=False).hexdigest()[:4]
    if len(folders) == 1 and folders[0].endswith(digest):
        return frozenset({project})
    return frozenset(map(_loosely, folders[-2:]))


def _loosely(folder: str) -> str:
    try:
        return names.normalize(folder)
    except errors.InvalidName:
        return ""


def _contradicted(facts: Facts, project: NormalizedName) -> Unfit:
    if facts.name is not None:
        return Unfit(f"it was recorded as a file of {facts.name!r:.100}; its filename says not so")
    return Unfit(f"nothing says that it is a file of {project!r}, not even its folder")


def _notes(
    project: NormalizedName, spelled: str, version: str, facts: Facts, folders: Sequence[str]
) -> tuple[str, ...]:
    """What somebody who moves house may want to know."""
    notes: list[str] = []
    if names.parse_version(version) is None:
        notes.append(f"its version {version!r} is none of PEP 440, so installers pass it over")
    if facts.version is not None and not same_version(version, facts.version):
        notes.append(f"it was recorded as version {facts.version!r:.100}")
    capitals = (name for name in (*folders[-2:], spelled) if name.lower() != name)
    if any(_loosely(name) == project for name in capitals):
        notes.append(f"spelled with capital letters; its project is {project!r}")
    return tuple(notes)

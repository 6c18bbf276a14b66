"""Wheels and sdists that pass every strict check, the same bytes for the same arguments."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_DATE = (2020, 2, 2, 0, 0, 0)
_MTIME = 1_580_601_600


class Made(NamedTuple):
    """A distribution file: what it is called and its bytes."""

    filename: str
    content: bytes

    @property
    def sha256(self) -> str:
        """The digest that indexes show."""
        return hashlib.sha256(self.content).hexdigest()


def escape(name: str) -> str:
    """A project's name as filenames spell it (PEP 427, PEP 625)."""
    return re.sub(r"[-_.]+", "_", name).lower()


def metadata(
    name: str,
    version: str,
    *,
    metadata_version: str = "2.4",
    summary: str | None = "A project made for tests",
    requires_python: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    description: str = "",
) -> bytes:
    """Core metadata (METADATA, PKG-INFO); ``headers`` are appended as they are."""
    fields = [("Metadata-Version", metadata_version), ("Name", name), ("Version", version)]
    if summary is not None:
        fields.append(("Summary", summary))
    if requires_python is not None:
        fields.append(("Requires-Python", requires_python))
    lines = [f"{key}: {value}" for key, value in (*fields, *headers)]
    return ("\n".join(lines) + "\n" + (f"\n{description}" if description else "")).encode()


def make_wheel(
    name: str = "demo",
    version: str = "1.0",
    *,
    build: str | None = None,
    tag: str = "py3-none-any",
    files: Mapping[str, bytes] | None = None,
    dist_info: Mapping[str, bytes] | None = None,
    requires_python: str | None = None,
    summary: str | None = "A project made for tests",
    headers: Iterable[tuple[str, str]] = (),
    description: str = "",
    core: bytes | None = None,
    compression: int = zipfile.ZIP_DEFLATED,
) -> Made:
    """A wheel. ``files`` replaces its one module, ``dist_info`` adds to its ``.dist-info``.

    ``core`` replaces METADATA, which is otherwise made from the other arguments.
    """
    stem = f"{escape(name)}-{version}"
    directory = f"{stem}.dist-info"
    if core is None:
        core = metadata(
            name,
            version,
            summary=summary,
            requires_python=requires_python,
            headers=headers,
            description=description,
        )
    members = dict(files) if files is not None else {f"{escape(name)}.py": _module(version)}
    members[f"{directory}/METADATA"] = core
    members[f"{directory}/WHEEL"] = _wheel_file(tag, build)
    members |= {f"{directory}/{key}": value for key, value in (dist_info or {}).items()}
    members[f"{directory}/RECORD"] = record(members, f"{directory}/RECORD")
    middle = f"-{build}" if build else ""
    return Made(f"{stem}{middle}-{tag}.whl", zipped(members, compression=compression))


def make_sdist(
    name: str = "demo",
    version: str = "1.0",
    *,
    files: Mapping[str, bytes] | None = None,
    requires_python: str | None = None,
    summary: str | None = "A project made for tests",
    headers: Iterable[tuple[str, str]] = (),
    description: str = "",
    core: bytes | None = None,
) -> Made:
    """An sdist that builds with hatchling; ``files`` adds to it, ``core`` replaces PKG-INFO."""
    stem = f"{escape(name)}-{version}"
    if core is None:
        core = metadata(
            name,
            version,
            summary=summary,
            requires_python=requires_python,
            headers=headers,
            description=description,
        )
    members = {
        "PKG-INFO": core,
        "pyproject.toml": _pyproject(name, version),
        f"{escape(name)}.py": _module(version),
        **(files or {}),
    }
    return Made(f"{stem}.tar.gz", tarred({f"{stem}/{key}": v for key, v in members.items()}))


def form(made: Made, name: str, version: str, **fields: str) -> dict[str, str]:
    """The fields that a client sends with the file ``content`` (the legacy upload API)."""
    wheel = made.filename.endswith(".whl")
    return {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.4",
        "name": name,
        "version": version,
        "filetype": "bdist_wheel" if wheel else "sdist",
        "pyversion": made.filename.split("-")[-3] if wheel else "source",
        "sha256_digest": made.sha256,
        "blake2_256_digest": hashlib.blake2b(made.content, digest_size=32).hexdigest(),
        "md5_digest": hashlib.md5(made.content).hexdigest(),
        **fields,
    }


def record(members: Mapping[str, bytes], path: str) -> bytes:
    """The RECORD of a wheel's members, itself at ``path`` (without hash)."""
    lines = []
    for member, content in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
        lines.append(f"{member},sha256={digest.decode()},{len(content)}\n")
    return "".join([*lines, f"{path},,\n"]).encode()


def zipped(members: Mapping[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of regular files, dated alike."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, content in members.items():
            entry = zipfile.ZipInfo(member, _DATE)
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            entry.compress_type = compression
            archive.writestr(entry, content)
    return buffer.getvalue()


def tarred(members: Mapping[str, bytes]) -> bytes:
    """A gzipped tar archive of regular files, dated alike."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=buffer, mode="wb", mtime=_MTIME) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for member, content in members.items():
            entry = tarfile.TarInfo(member)
            entry.size, entry.mode, entry.mtime = len(content), 0o644, _MTIME
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _module(version: str) -> bytes:
    return f'"""Made for tests."""\n\n__version__ = "{version}"\n'.encode()


def _wheel_file(tag: str, build: str | None) -> bytes:
    pythons, abis, platforms = (part.split(".") for part in tag.split("-"))
    pure = str(abis == ["none"] and platforms == ["any"]).lower()
    lines = ["Wheel-Version: 1.0", "Generator: factories 1.0", f"Root-Is-Purelib: {pure}"]
    lines += [f"Tag: {p}-{a}-{where}" for p in pythons for a in abis for where in platforms]
    lines += [f"Build: {build}"] if build else []
    return ("\n".join(lines) + "\n").encode()


def _pyproject(name: str, version: str) -> bytes:
    return (
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\n'
    ).encode()

"""Buckets and folders as PyPICloud 1.3.12 laid them out, built by its rules."""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from tests.factories import Made, make_sdist, make_wheel, tarred

Layout = Literal["hashed", "plain", "oldest"]
"""``storage.prepend_hash`` on and off, and the keys of the very first versions."""

TIME = datetime(2019, 3, 4, 5, 6, 7, tzinfo=UTC)
"""When the files of folders were uploaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Old:
    """A file that somebody uploaded; ``name`` and ``version`` as the client sent them."""

    made: Made
    name: str
    version: str
    uploader: str | None = "alice"
    requires_python: str | None = None
    summary: str | None = None
    hashed: bool = True
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def project(self) -> str:
        """The name as PyPICloud normalised it."""
        return re.sub(r"[-_.]+", "-", self.name).lower()

    @property
    def fields(self) -> dict[str, str]:
        """What it kept besides name and version; only what is not empty."""
        fields = {"requires_python": self.requires_python, "summary": self.summary}
        if self.hashed:
            fields["hash_sha256"] = self.made.sha256
            fields["hash_md5"] = hashlib.md5(self.made.content).hexdigest()
        fields["uploader"] = self.uploader
        return {name: value for name, value in fields.items() if value} | dict(self.more)

    def key(self, layout: Layout = "hashed") -> str:
        """Its key in a bucket, below the prefix."""
        filename = self.made.filename
        digest = hashlib.md5(filename.encode()).hexdigest()[:4]
        keys = {
            "hashed": f"{digest}/{self.project}/{filename}",
            "plain": f"{self.project}/{filename}",
            "oldest": f"{digest}/{filename}",
        }
        return keys[layout]

    def metadata(self, spelling: Literal["-", "_"] = "-") -> dict[str, str]:
        """Its object metadata: with hyphens as S3 has it, or as other stores and scripts wrote."""
        fields = {"name": self.project, "version": self.version, **self.fields}
        return {name.replace("_", spelling): plain(value) for name, value in fields.items()}

    def untouched(self) -> dict[str, str]:
        """The same on Google Cloud Storage and Azure, where values stand as they are."""
        return {"name": self.project, "version": self.version, **self.fields}


def plain(value: str) -> str:
    """A value as it was written to S3."""
    ascii_only = unicodedata.normalize("NFKD", value).encode("ascii", "ignore").decode()
    return re.sub(r"\s+", " ", ascii_only)


def write_file(root: Path, old: Old, *, sidecar: bool = True, time: datetime = TIME) -> str:
    """Put a file into a folder; its path below ``root``."""
    folder = root / old.project / old.version
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / old.made.filename
    if sidecar:
        path.with_name(f"{path.name}.meta").write_text(json.dumps(old.fields))
    path.write_bytes(old.made.content)
    os.utime(path, (time.timestamp(), time.timestamp()))
    return path.relative_to(root).as_posix()


def write_object(
    client: Any,
    bucket: str,
    key: str,
    old: Old,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Put a file into a bucket of S3, in parts whatever its size; ``client`` is boto3's."""
    where = {"Bucket": bucket, "Key": key}
    upload = client.create_multipart_upload(
        **where,
        Metadata=dict(old.metadata() if metadata is None else metadata),
        ContentType="binary/octet-stream",
    )
    where["UploadId"] = upload["UploadId"]
    part = client.upload_part(**where, PartNumber=1, Body=old.made.content)
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    client.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})


def wheel(name: str, version: str = "1.0", **facts: Any) -> Old:
    """A wheel that a client of today would have sent; ``facts`` are those of make_wheel."""
    return Old(made=make_wheel(name, version, **facts), name=name, version=version)


def sdist(name: str, version: str = "1.0", **facts: Any) -> Old:
    """The same, an sdist."""
    return Old(made=make_sdist(name, version, **facts), name=name, version=version)


def old_sdist(name: str, version: str, *, stem: str | None = None) -> Old:
    """An sdist as distutils made it: nothing normalised, metadata of version 1.0."""
    stem = stem or f"{name}-{version}"
    core = f"Metadata-Version: 1.0\nName: {name}\nVersion: {version}\nSummary: Of old\n"
    members = {
        "PKG-INFO": core.encode(),
        "setup.py": b"from setuptools import setup\nsetup()\n",
    }
    content = tarred({f"{stem}/{path}": text for path, text in members.items()})
    return Old(made=Made(f"{stem}.tar.gz", content), name=name, version=version)

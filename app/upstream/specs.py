"""What rules are about: projects, releases, files or bytes, each in one line. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from app import names
from app.upstream.entries import Entry

_SPEC = re.compile(
    r"(?P<name>[A-Za-z0-9*](?:[A-Za-z0-9._*-]*[A-Za-z0-9*])?)\s*(?P<versions>[^;@]*)\Z"
)
_FILES = (".whl", ".tar.gz", ".zip")


@dataclass(frozen=True, slots=True)
class Spec:
    """A pattern of names with versions, or a filename, or a hash; ``text`` as it was written."""

    text: str
    name: str = ""
    versions: SpecifierSet | None = None
    filename: str = ""
    sha256: str = ""

    def covers(self, project: str, entry: Entry) -> bool:
        """Whether a file of a project is meant."""
        if self.sha256:
            return entry.hashes.get("sha256") == self.sha256
        if self.filename:
            return entry.filename == self.filename
        if not fnmatchcase(project, self.name):
            return False
        if self.versions is None:
            return True
        version = names.parse_version(entry.version)
        # What cannot be compared is meant by whoever wrote versions at all.
        return version is None or self.versions.contains(version, prereleases=True)


def spec(text: str) -> Spec:
    """``name``, ``acme-*``, ``name>=1,<2`` (PEP 508), a filename, or ``sha256:HEX``; ValueError."""
    kind, colon, digest = text.partition(":")
    if colon:
        if kind != "sha256" or not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
            raise ValueError("write a hash like 'sha256:' and 64 hexadecimal digits")
        return Spec(text, sha256=digest.lower())
    if text.endswith(_FILES) and names.is_filename(text):
        return Spec(text, filename=text)
    match = _SPEC.match(text)
    if match is None:
        raise ValueError("write 'name', 'acme-*', 'name>=1,<2', a filename or 'sha256:…'")
    try:
        versions = SpecifierSet(match["versions"]) if match["versions"].strip() else None
    except InvalidSpecifier:
        raise ValueError("the versions are no specifiers (PEP 440): 'name>=1,<2'") from None
    return Spec(text, name=re.sub(r"[-_.]+", "-", match["name"]).lower(), versions=versions)

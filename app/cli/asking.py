"""What is published, changed through the API of a running index."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from packaging.utils import NormalizedName

from app import errors, names
from app.cli.client import Client, Refused
from app.cli.showing import Done, plain

_SEPARATORS = re.compile(r"[-_.]+")
Shown = Mapping[str, Any]
"""A file as the API shows it."""


@dataclass(frozen=True, slots=True)
class Asking:
    """One project of one index. Raises Refused with the index's own words."""

    index: Client
    name: NormalizedName

    def yank(self, what: str, reason: str, undo: bool) -> Done:
        """Yank a release or a file, or take that back."""
        _, path = self._found(what)
        files = _listed(self.index.json("PATCH", path, {"yanked": not undo and (reason or True)}))
        return yanked(self.name, files, undo)

    def delete(self, what: str | None, confirm: Callable[[str], None]) -> Done:
        """Delete a file, a release file by file, or the project, once that is confirmed."""
        if what is None:
            files = self._files()
            confirm(f"Delete project {self.name} and its {len(files)} files?")
            self.index.json("DELETE", self._path())
            return whole("project.delete", self.name, _gone(files))
        files, _ = self._found(what)
        confirm(f"Delete {named(files)}?")
        done: list[Shown] = []
        for file in files:
            try:
                self.index.json("DELETE", self._path("files", file["filename"]))
            except Refused as why:
                if not done:
                    raise
                left = f"{file['filename']} is still there, {named(done)} not: {why}"
                raise Refused(left) from why
            done.append(file)
        return deleted(self.name, _gone(files))

    def restore(self, what: str | None) -> Done:
        """Bring back a file, a release, or the project."""
        if what is None:
            found = self.index.json("POST", self._path("restore"))
            return whole("project.restore", self.name, found["files"])
        kind = "files" if is_file_of(self.name, what) else "releases"
        found = self.index.json("POST", self._path(kind, what, "restore"))
        return restored(self.name, _listed(found))

    def _found(self, what: str) -> tuple[Sequence[Shown], str]:
        """The files of a version, or the one of that name, and where both are changed."""
        listed = self._files()
        for file in listed:
            if file["filename"] == what:
                return [file], self._path("files", what)
        wanted = names.canonical_version(what)
        files = [one for one in listed if names.canonical_version(str(one["version"])) == wanted]
        if not files:
            raise errors.ReleaseNotFound(self.name, what)
        return files, self._path("releases", wanted)

    def _files(self) -> Sequence[Shown]:
        """The project's published files."""
        found = self.index.json("GET", self._path())
        if not isinstance(found, dict) or "files" not in found:
            raise errors.Unreachable(f"{self.index.url} does not answer as an index does.")
        files: list[Shown] = found["files"]
        return files

    def _path(self, *parts: str) -> str:
        return "/".join(["/api/v1/projects", self.name, *(quote(part, safe="") for part in parts)])


def is_file_of(name: NormalizedName, what: str) -> bool:
    """Whether something deleted is meant by its filename, and not by a version."""
    if names.parse_version(what) is not None:
        return False
    return _SEPARATORS.sub("-", what).lower().startswith(f"{name}-")


def yanked(name: NormalizedName, files: Sequence[Shown], undo: bool) -> Done:
    """What a yank did, or taking it back."""
    line = f"{named(files)} {'no longer ' if undo else ''}yanked."
    return _done(line, "file.unyank" if undo else "file.yank", name, files)


def deleted(name: NormalizedName, files: Sequence[Shown]) -> Done:
    """What was deleted of a project."""
    return _done(f"Deleted {named(files)}.", "file.delete", name, files)


def restored(name: NormalizedName, files: Sequence[Shown]) -> Done:
    """What was brought back of a project."""
    return _done(f"Restored {named(files)}.", "file.restore", name, files)


def whole(action: str, name: NormalizedName, files: Sequence[Shown]) -> Done:
    """A whole project, deleted or brought back."""
    verb = "Deleted" if action == "project.delete" else "Restored"
    return _done(f"{verb} project {name}.", action, name, files)


def named(files: Sequence[Shown]) -> str:
    """The files by their names."""
    return ", ".join(str(file["filename"]) for file in files)


def _done(line: str, action: str, name: NormalizedName, files: Sequence[Shown]) -> Done:
    return Done(plain(line), action, {"project": name, "files": list(files)})


def _listed(answer: Any) -> list[Shown]:
    return answer if isinstance(answer, list) else [answer]


def _gone(files: Sequence[Shown]) -> list[Shown]:
    """The files as they are once they are deleted; the API says nothing of them then."""
    return [{**file, "state": "deleted"} for file in files]

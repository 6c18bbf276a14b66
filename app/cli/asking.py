"""What is published, changed through the API of a running index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from packaging.utils import NormalizedName

from app import errors, names
from app.cli.client import Client, Refused


@dataclass(frozen=True, slots=True)
class Asking:
    """One project of one index. Raises Refused with the index's own words."""

    index: Client
    name: NormalizedName

    def yank(self, what: str, reason: str, undo: bool) -> str:
        """Yank a release or a file, or take that back; says what was."""
        files, path = self._found(what)
        wanted = False if undo else reason or True
        self.index.json("PATCH", path, {"yanked": wanted})
        return f"{', '.join(files)} {'no longer ' if undo else ''}yanked."

    def delete(self, what: str | None, confirm: Callable[[str], None]) -> str:
        """Delete a file, a release file by file, or the project, once that is confirmed."""
        if what is None:
            count = len(self._files())
            confirm(f"Delete project {self.name} and its {count} files?")
            self.index.json("DELETE", self._path())
            return f"Deleted project {self.name}."
        files, _ = self._found(what)
        confirm(f"Delete {', '.join(files)}?")
        done: list[str] = []
        for file in files:
            try:
                self.index.json("DELETE", self._path("files", file))
            except Refused as why:
                if not done:
                    raise
                raise Refused(f"{file} is still there, {', '.join(done)} not: {why}") from why
            done.append(file)
        return f"Deleted {', '.join(files)}."

    def restore(self, filename: str | None) -> str:
        """Bring back a file, or the project."""
        if filename is None:
            self.index.json("POST", self._path("restore"))
            return f"Restored project {self.name}."
        self.index.json("POST", self._path("files", filename, "restore"))
        return f"Restored {filename}."

    def _found(self, what: str) -> tuple[Sequence[str], str]:
        """The files of a version, or the one of that name, and where both are changed."""
        listed = self._files()
        if what in listed:
            return [what], self._path("files", what)
        wanted = names.canonical_version(what)
        files = [name for name, version in listed.items() if version == wanted]
        if not files:
            raise errors.ReleaseNotFound(self.name, what)
        return files, self._path("releases", wanted)

    def _files(self) -> dict[str, str]:
        """The project's published files, and the canonical version of each."""
        found = self.index.json("GET", self._path())
        if not isinstance(found, dict) or "files" not in found:
            raise errors.Unreachable(f"{self.index.url} does not answer as an index does.")
        return {
            str(file["filename"]): names.canonical_version(str(file["version"]))
            for file in found["files"]
        }

    def _path(self, *parts: str) -> str:
        return "/".join(["/api/v1/projects", self.name, *(quote(part, safe="") for part in parts)])

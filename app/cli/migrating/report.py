"""What a migration did, as a table for people and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from app.cli.adopt import counted
from app.cli.migrating.account import Line
from app.cli.showing import plain
from app.index.check import Checked

NOTES = 20
"""Notes on files that are printed; JSON has all."""


@dataclass(slots=True)
class Report:
    """Filled in as things are done."""

    file: str
    output: str
    dry_run: bool
    every: bool
    options: Sequence[Line] = ()
    settings: str = ""
    files: Counter[str] = field(default_factory=Counter)
    copied: Counter[str] = field(default_factory=Counter)
    projects: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    people_found: dict[str, int] = field(default_factory=dict)
    people_elsewhere: str = ""
    """Where users stay, if they are not brought over."""
    people: Sequence[str] = ()
    left: list[str] = field(default_factory=list)
    checked: Checked | None = None
    findings: Sequence[str] = ()

    @property
    def incomplete(self) -> bool:
        """Whether anything was left behind, or does not agree."""
        return bool(self.findings) or any(not line.startswith("note: ") for line in self.left)

    @property
    def unchanged(self) -> bool:
        """Whether everything was as it had to be."""
        changed = self.files["adopted"] or self.copied["copied"] or self.people
        return not self.dry_run and self.settings != "written" and not changed

    def as_json(self) -> dict[str, Any]:
        """All of it; values of options are not in it."""
        return {
            "file": self.file,
            "dry_run": self.dry_run,
            "unchanged": self.unchanged,
            "options": [asdict(line) for line in self.options],
            "settings": {"file": self.output, "state": self.settings},
            "files": dict(self.files),
            "copied": dict(self.copied),
            "projects": len(self.projects),
            "notes": self.notes,
            "people": {
                **self.people_found,
                "elsewhere": self.people_elsewhere,
                "changed": list(self.people),
            },
            "left": self.left,
            "checked": asdict(self.checked) if self.checked else None,
            "findings": list(self.findings),
        }

    def as_text(self) -> str:
        """For people."""
        return "\n".join(plain(line) for line in self._lines())

    def _lines(self) -> Iterator[str]:
        shown = [line for line in self.options if line.source or line.matters or self.every]
        width = max((len(line.option) for line in shown), default=0)
        for line in shown:
            source = f" ({line.source})" if line.source not in ("", "file") else ""
            yield f"{line.option:{width}}  {line.verdict}: {line.text}{source}"
        yield ""
        yield f"Settings: {self.settings}: {self.output}"
        if self.copied:
            yield f"Copied: {', '.join(f'{n} {state}' for state, n in self.copied.items())}."
        yield f"Files: {counted(self.files)}"
        yield from (f"  note: {note}" for note in self.notes[:NOTES])
        if more := self.notes[NOTES:]:
            yield f"  … and {len(more)} more notes; --json has them"
        found = ", ".join(f"{number} {what}" for what, number in self.people_found.items())
        changes = "would be imported" if self.dry_run else f"{len(self.people)} changes"
        stay = f" Users stay {self.people_elsewhere}." if self.people_elsewhere else ""
        yield f"People: {found}; {changes}.{stay}"
        yield from (f"Left behind: {line}" for line in self.left if not line.startswith("note: "))
        yield from (line for line in self.left if line.startswith("note: "))
        yield from (f"Does not agree: {line}" for line in self.findings)
        if self.checked is not None and not self.findings:
            checked = self.checked
            yield (
                f"Checked: {checked.files} files of {checked.projects} projects, "
                f"{checked.size} bytes: all agree."
            )
        yield from self._end()

    def _end(self) -> Iterator[str]:
        if self.dry_run:
            yield "Nothing was written; run it without --dry-run."
        elif self.unchanged:
            yield "Nothing was changed: it was migrated before."
        else:
            yield f"Serve it: PYPICLOUD_CONFIG={self.output} pypicloud serve"

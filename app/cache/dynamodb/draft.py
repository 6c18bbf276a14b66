"""A transaction in the making: what was seen, and what is to stand there instead.

Writes are plain functions of a Draft. One that needs what was not read raises Unread; it is
read, and all of them are done anew. What was seen may be outdated: every item is put on the
condition that it is as it was seen, and so is META, which every transaction writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import msgspec
from packaging.utils import NormalizedName
from ulid import ULID

from app.cache.dynamodb import records
from app.cache.dynamodb.records import LAYOUT, META, UNKNOWN, Kept, Known, Meta, Passage
from app.cache.newest import Standing
from app.dynamodb.keys import Item, Key
from app.models import Change, File, Project

LAID = 0
"""The revision of files that were laid out before their project named their incarnation."""
FILES = tuple[NormalizedName, str]
MASK = 2**63

Write = tuple[Key, Item | None, int | None]


@dataclass(frozen=True, slots=True)
class Laid:
    """Files that stand where no project names their incarnation yet."""

    prefix: str
    incarnation: str
    heads: Mapping[str, str]


class Unread(Exception):  # nothing is wrong: it says what to read
    """Of this project one file is wanted, or all of them, or these are to be laid out."""

    def __init__(
        self,
        name: NormalizedName,
        filename: str | None = None,
        files: Mapping[str, File] | None = None,
    ) -> None:
        super().__init__(name)
        self.name = name
        self.filename = filename
        self.files = files


@dataclass(slots=True)
class Sight:
    """What was read. ``revision`` is None where there is no META."""

    meta: Meta
    revision: int | None
    projects: dict[NormalizedName, Kept | None] = field(default_factory=dict)
    files: dict[FILES, Kept | None] = field(default_factory=dict)
    whole: dict[NormalizedName, dict[str, Kept]] = field(default_factory=dict)
    laid: dict[NormalizedName, Laid] = field(default_factory=dict)


class Draft:
    """``meta`` may be replaced; ``litter`` are incarnations that nobody reads after it."""

    def __init__(self, sight: Sight) -> None:
        self.meta = sight.meta
        self.litter: list[tuple[NormalizedName, str]] = []
        self._sight = sight
        self._prefix = sight.meta.prefix
        self._revision = (sight.revision or 0) + 1
        self._given: list[Change] = []
        self._projects: dict[NormalizedName, Known | None] = {}
        self._files: dict[NormalizedName, dict[str, File | None]] = {}
        self._filled: dict[NormalizedName, Mapping[str, Kept]] = {}

    @property
    def filled(self) -> Iterable[NormalizedName]:
        """The projects that name an incarnation they did not have."""
        return self._filled

    @property
    def size(self) -> int:
        """Items that it writes."""
        files = sum(len(those) for those in self._files.values())
        return 1 + bool(self._given) + len(self._projects) + files

    @property
    def differs(self) -> bool:
        """Whether there is anything to write."""
        return self.size > 1 or self.meta != self._sight.meta

    def give(self, change: Change) -> int:
        """The change's serial."""
        serial = self.meta.serial + 1
        self.meta = msgspec.structs.replace(self.meta, serial=serial)
        if change.project is not None:
            self.meta = self.meta.saying(wrote=serial)
        self._given.append(replace(change, serial=serial))
        return serial

    def known(self, name: NormalizedName) -> Known | None:
        """A project."""
        if name in self._projects:
            return self._projects[name]
        if name not in self._sight.projects:
            raise Unread(name)
        kept = self._sight.projects[name]
        return None if kept is None else kept.value

    def held(self, name: NormalizedName, filename: str) -> File | None:
        """One file of a known project."""
        changed = self._files.get(name, {})
        if filename in changed:
            return changed[filename]
        kept = self._before(name, filename)
        return None if kept is None else kept.value

    def every(self, name: NormalizedName) -> dict[str, File]:
        """All files of a known project."""
        before = self._filled.get(name)
        if before is None and (before := self._sight.whole.get(name)) is None:
            raise Unread(name, filename=None)
        found = {filename: kept.value for filename, kept in before.items()}
        for filename, file in self._files.get(name, {}).items():
            if file is None:
                found.pop(filename, None)
            else:
                found[filename] = file
        return found

    def put_file(self, name: NormalizedName, filename: str, file: File | None) -> None:
        """Put (None: remove) a file of a known project, which is to be put as well."""
        known = self.known(name)
        if known is None:
            raise LookupError(name)
        count, mark = known.count, known.mark
        changed = self._files.setdefault(name, {})
        if filename in changed:
            revision = None if changed[filename] is None else self._revision
        else:
            kept = self._before(name, filename)
            revision = None if kept is None else kept.revision
        if revision is not None:
            count, mark = count - 1, mark - records.mark(revision)
        if file is not None:
            count, mark = count + 1, mark + records.mark(self._revision)
        changed[filename] = file
        self._projects[name] = msgspec.structs.replace(known, count=count, mark=mark % MASK)

    def put_project(self, facts: Project, serial: int, standing: Standing | None) -> None:
        """Put a project; one that was not known has no file."""
        facts = replace(facts, serial=0, files=())
        known = self.known(facts.name)
        if known is None:
            self._anew(facts.name, {})
            known = Known(facts, serial, standing, str(ULID()))
        self._projects[facts.name] = msgspec.structs.replace(
            known, facts=facts, serial=serial, standing=standing
        )
        self._shows(serial)

    def fill(
        self, facts: Project, serial: int, standing: Standing | None, files: Mapping[str, File]
    ) -> None:
        """Put a project with all its files, which were laid out."""
        name = facts.name
        if (known := self.known(name)) is not None:
            self.litter.append((name, known.incarnation))
        self._anew(name, {filename: Kept(file, LAID) for filename, file in files.items()})
        facts = replace(facts, serial=0, files=())
        incarnation = self.laid(name, files)
        mark = len(files) * records.mark(LAID) % MASK
        self._projects[name] = Known(facts, serial, standing, incarnation, len(files), mark)
        self._shows(serial)

    def laid(self, name: NormalizedName, files: Mapping[str, File]) -> str:
        """The incarnation in which these files of the project are laid out."""
        heads = {filename: file.head for filename, file in files.items()}
        laid = self._sight.laid.get(name)
        if laid is None or (laid.prefix, laid.heads) != (self._prefix, heads):
            raise Unread(name, files=files)
        return laid.incarnation

    def drop_project(self, name: NormalizedName) -> None:
        """Remove a known project with its files."""
        known = self.known(name)
        if known is None:
            raise LookupError(name)
        self.litter.append((name, known.incarnation))
        self._anew(name, {})
        self._projects[name] = None
        if known.serial >= self.meta.mine.shown:
            self.meta = self.meta.saying(shown=UNKNOWN)

    def writes(self) -> Iterator[Write]:
        """The items to put, each with the revision that is to stand there before."""
        yield META, records.item(META, self._revision, self.finished()), self._sight.revision
        if self._given:
            passage = Passage(self.meta.tail, LAYOUT, tuple(self._given))
            key = records.change_key(self._given[-1].serial)
            yield key, records.item(key, self._revision, passage), None
        for name, known in self._projects.items():
            kept = self._sight.projects[name]
            key = records.project_key(self._prefix, name)
            if known is not None or kept is not None:
                yield key, self._item(key, known), None if kept is None else kept.revision
        for name, changed in self._files.items():
            yield from self._writes_of(name, changed)

    def finished(self) -> Meta:
        """META as it stands when it was done."""
        tail = self._given[-1].serial if self._given else self.meta.tail
        return msgspec.structs.replace(self.meta, tail=tail)

    def _writes_of(
        self, name: NormalizedName, changed: Mapping[str, File | None]
    ) -> Iterator[Write]:
        known = self._projects[name]
        if known is None:
            return
        for filename, file in changed.items():
            kept = self._before(name, filename)
            key = records.file_key(self._prefix, name, filename, known.incarnation)
            if file is not None or kept is not None:
                yield key, self._item(key, file), None if kept is None else kept.revision

    def _item(self, key: Key, body: object) -> Item | None:
        return None if body is None else records.item(key, self._revision, body)

    def _before(self, name: NormalizedName, filename: str) -> Kept | None:
        """What stands there, or will once this incarnation is named."""
        if (filled := self._filled.get(name)) is not None:
            return filled.get(filename)
        if (whole := self._sight.whole.get(name)) is not None:
            return whole.get(filename)
        if (name, filename) not in self._sight.files:
            raise Unread(name, filename)
        return self._sight.files[name, filename]

    def _anew(self, name: NormalizedName, files: Mapping[str, Kept]) -> None:
        self._files.pop(name, None)
        self._filled[name] = files

    def _shows(self, serial: int) -> None:
        shown = self.meta.mine.shown
        if shown == UNKNOWN and serial != self.meta.serial:
            return
        self.meta = self.meta.saying(shown=max(shown, serial))

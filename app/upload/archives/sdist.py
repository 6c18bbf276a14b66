"""A source distribution (PEP 625, PEP 721): one top directory, with PKG-INFO in it."""

from __future__ import annotations

from . import zip_members
from .members import Budget, Names, Refusal, check_name, refuse
from .spelling import same
from .tars import DIRECTORY, LINK, REGULAR, SYMBOLIC_LINK, Member, Stream, walk
from .zip_directory import read_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from .answer import Contents
    from .limits import Limits


def inspect(
    file: BinaryIO, length: int, filename: str, limits: Limits, *, strict: bool
) -> Contents:
    """Read an sdist of ``length`` bytes: ``.tar.gz``, or ``.zip`` unless ``strict``.

    Raises Refusal.
    """
    if filename.endswith(".tar.gz"):
        return _inspect_tar(file, length, filename.removesuffix(".tar.gz"), limits, strict=strict)
    if filename.endswith(".zip") and not strict:
        return _inspect_zip(file, length, filename.removesuffix(".zip"), limits)
    raise Refusal("a source distribution is a .tar.gz file")


class Tree:
    """The names of an sdist as they come: one root, no twins, links that stay inside."""

    def __init__(self, stem: str, *, strict: bool) -> None:
        self.root = ""
        self.files: set[str] = set()
        self._stem = stem
        self._strict = strict
        self._links: set[str] = set()
        self._names = Names(strict=strict)

    def add(self, member: Member) -> None:
        """Count a member in."""
        name = member.name.removesuffix("/")
        check_name(member.name)
        self._check_root(name, directory=member.kind == DIRECTORY)
        if member.kind in (LINK, SYMBOLIC_LINK):
            self._check_link(member)
        self._names.add(name, directory=member.kind == DIRECTORY)
        if member.kind == REGULAR:
            self.files.add(name)

    def check(self) -> None:
        """What can be said only of all members together."""
        self._names.check_tree()

    def _check_root(self, name: str, *, directory: bool) -> None:
        root, slash, _ = name.partition("/")
        if not slash and not directory:
            refuse("{} is not in the top directory", name)
        if not self.root:
            if not same(root, self._stem, strict=self._strict):
                refuse("its top directory {} should be {}", root, self._stem)
            self.root = root
        if root != self.root:
            refuse("it has more than one top directory: {} and {}", self.root, root)

    def _check_link(self, member: Member) -> None:
        """PEP 721: the target is inside. No member lies beyond a link (see ``Names.check_tree``),
        so leading ``..`` count from a real directory; anywhere else they are refused."""
        if self._strict:
            refuse("{} is a link", member.name)
        if member.kind == LINK:
            if member.link not in self.files:
                refuse("{} is a link to {}, which is no file before it", member.name, member.link)
            return
        ups, depth = 0, member.name.count("/")
        segments = member.link.split("/")
        while ups < len(segments) and segments[ups] == "..":
            ups += 1
        inside = "/".join(segments[ups:])
        if ups >= depth or not member.link:
            refuse("{} is a link to {}, out of the top directory", member.name, member.link)
        if inside:
            check_name(inside)


def _inspect_tar(
    file: BinaryIO, length: int, stem: str, limits: Limits, *, strict: bool
) -> Contents:
    budget = Budget(limits.unpacked(length))
    tree = Tree(stem, strict=strict)
    stream = Stream(file, length, budget)
    metadata: bytes | None = None
    count = 0

    def kept(name: str) -> int | None:
        inner = name.removeprefix("./")
        is_metadata = inner.endswith("/PKG-INFO") and inner.count("/") == 1
        return limits.metadata if is_metadata else None

    for member in walk(stream, limits, kept):
        if not strict and member.kind == DIRECTORY and member.name in (".", "./"):
            continue
        if not strict:
            member.name = member.name.removeprefix("./")
        count += 1
        tree.add(member)
        if member.name == f"{tree.root}/PKG-INFO" and member.content is not None:
            metadata = member.content
    tree.check()
    return _contents(tree, metadata, count, budget.spent)


def _inspect_zip(file: BinaryIO, length: int, stem: str, limits: Limits) -> Contents:
    budget = Budget(limits.unpacked(length))
    directory = read_directory(file, length, limits, strict=False)
    tree = Tree(stem, strict=False)
    metadata: bytes | None = None
    for entry, source in zip_members.walk(file, directory, budget):
        kind = DIRECTORY if entry.directory else REGULAR
        tree.add(Member(entry.name, kind, entry.size, ""))
        is_metadata = entry.name == f"{tree.root}/PKG-INFO"
        if is_metadata and entry.size > limits.metadata:
            refuse(f"{{}} has more than {limits.metadata} bytes", entry.name)
        if is_metadata:
            metadata = b"".join(source)
        for _ in source:
            pass
    tree.check()
    return _contents(tree, metadata, len(directory.entries), budget.spent)


def _contents(tree: Tree, metadata: bytes | None, count: int, unpacked: int) -> Contents:
    if not tree.root:
        refuse("it is empty")
    if metadata is None:
        refuse("{} is missing", f"{tree.root}/PKG-INFO")
    return {
        "root": tree.root,
        "members": count,
        "unpacked": unpacked,
        "has_pyproject": f"{tree.root}/pyproject.toml" in tree.files,
        "names": list(tree.files),
        "metadata": metadata,
        "wheel": None,
        "entry_points": None,
    }

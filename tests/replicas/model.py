"""What may be true of the index at any moment, as far as its clients can know. Pure.

A request that was answered happened; one that was not, or with 5xx, may have happened, or
may be finished later by the reconciler. So of each file a set of states is possible. The set
is widened when a request is sent, narrowed when it is answered with success, and kept with
the times of both: what a reader saw must have been possible at some moment of its request, or
as long before as a replica may lag behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf

Answered = int
"""The status of an answer; 0 where there was none."""


@dataclass(frozen=True, slots=True)
class State:
    """Of one filename: the bytes it has (None: it was never there), yanked why, deleted."""

    sha256: str | None = None
    yanked: str | None = None
    deleted: bool = False

    @property
    def shown(self) -> tuple[str, str | None] | None:
        """What a page says of it; None where it lists no such file."""
        if self.sha256 is None or self.deleted:
            return None
        return self.sha256, self.yanked


Deed = Callable[[State], tuple[int, State]]
"""What a request answers in a state, and the state after it."""


def upload(sha256: str) -> Deed:
    """The same bytes again change nothing, other ones and those of a deleted file are refused."""

    def deed(state: State) -> tuple[int, State]:
        if state.sha256 is None:
            return 200, State(sha256)
        return (200 if state.sha256 == sha256 and not state.deleted else 400), state

    return deed


def yank(reason: str | None) -> Deed:
    """None: take the yank back."""

    def deed(state: State) -> tuple[int, State]:
        return (404, state) if state.shown is None else (200, replace(state, yanked=reason))

    return deed


def delete(state: State) -> tuple[int, State]:
    """A file that is not listed is not found."""
    return (404, state) if state.shown is None else (204, replace(state, deleted=True))


def restore(state: State) -> tuple[int, State]:
    """What was never there cannot be restored; what is there stays."""
    return (404, state) if state.sha256 is None else (200, replace(state, deleted=False))


@dataclass(slots=True)
class _Life:
    """The sets of states that were possible, each from its moment on."""

    sets: list[tuple[float, frozenset[State]]] = field(
        default_factory=lambda: [(0.0, frozenset({State()}))]
    )
    sure_since: float | None = None
    """Since when it must be known to the index, deleted or not."""

    def now(self) -> frozenset[State]:
        return self.sets[-1][1]

    def between(self, begin: float, end: float) -> frozenset[State]:
        found: frozenset[State] = frozenset()
        for number, (since, states) in enumerate(self.sets):
            until = self.sets[number + 1][0] if number + 1 < len(self.sets) else inf
            if since <= end and until > begin:
                found |= states
        return found


class Model:
    """All files of all projects. Each file has one client that changes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lives: dict[tuple[str, str], _Life] = {}

    def sent(
        self, project: str, filename: str, deed: Deed, when: float, *, once: bool = True
    ) -> frozenset[State]:
        """A request is about to be sent; the states in which it may be looked at.

        Not ``once``: whoever stands in between may send it again after it was done.
        """
        with self._lock:
            life = self._lives.setdefault((project, filename), _Life())
            before = life.now()
            after = before | {deed(state)[1] for state in before}
            life.sets.append((when, after))
        return before if once else after

    def answered(
        self,
        project: str,
        filename: str,
        deed: Deed,
        status: Answered,
        when: float,
        before: frozenset[State],
    ) -> str | None:
        """It was answered, in one of the states ``before``; what is wrong with that, if any."""
        if not status or status >= 500:
            return None
        with self._lock:
            life = self._lives[project, filename]
            states = {deed(state)[1] for state in before if deed(state)[0] == status}
            if not states:
                return f"{project}/{filename}: answered {status}, and is one of {set(before)}"
            if status < 300:
                life.sets.append((when, frozenset(states)))
                if life.sure_since is None:
                    life.sure_since = when
        return None

    def states(self, project: str, filename: str) -> frozenset[State]:
        """What is possible now."""
        with self._lock:
            life = self._lives.get((project, filename))
            return life.now() if life else frozenset({State()})

    def projects(self) -> set[str]:
        """Those that anything was sent to."""
        with self._lock:
            return {project for project, _ in self._lives}

    def surely_there(self, when: float) -> set[str]:
        """The projects that the index must have known at that moment."""
        with self._lock:
            return {
                project
                for (project, _), life in self._lives.items()
                if life.sure_since is not None and life.sure_since <= when
            }

    def surely_listed(self, project: str, filename: str, begin: float, end: float) -> bool:
        """Whether a page had to list the file at every moment between."""
        with self._lock:
            life = self._lives[project, filename]
            return all(state.shown for state in life.between(begin, end))

    def wrong_page(
        self,
        project: str,
        page: Mapping[str, tuple[str, str | None]],
        begin: float,
        end: float,
        *,
        of: Iterable[str] | None = None,
    ) -> str | None:
        """What is wrong with a page that was true at some moment between; see State.shown.

        ``of``: look at these files alone.
        """
        with self._lock:
            lives = {name: life for (where, name), life in self._lives.items() if where == project}
            if invented := set(page) - set(lives):
                return f"{project} lists {invented}, which nobody uploaded"
            for filename in lives if of is None else of:
                possible = {state.shown for state in lives[filename].between(begin, end)}
                if page.get(filename) not in possible:
                    return (
                        f"{project}/{filename}: shown as {page.get(filename)}, "
                        f"may be {possible}: {lives[filename].sets[-4:]}"
                    )
        return None

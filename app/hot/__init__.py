"""Answers given a moment ago, ready to be given again to whoever may have them.

A door decides once, in full, and offers its answer; what is kept here is the answer as it
went out, what it was an answer to, and whom it may be given to. The same question is then
answered by a look-up, for as long as nothing changed: neither the project, nor the rights,
nor who somebody is. Whoever cannot be told apart at a glance is sent to the door.

Two front rooms ask it: app.fastpath (any ASGI server) and app.protocol (ours, without ASGI).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from packaging.utils import NormalizedName

from app.access import policy
from app.hot.answer import Answer
from app.hot.counting import Counting
from app.hot.offer import Offer
from app.hot.question import LONGEST, UNUSUAL, Key, Question
from app.metrics import Meters
from app.models import Identity, Permission

LARGEST = 4 * 2**20
"""Bytes of a body; a larger one is not kept."""
OVERHEAD = 1500
"""Bytes that an answer takes beside its body: its key, its header fields twice, its place."""
REMEMBERED = 4.0
"""Seconds for which somebody is known again by what they sent, at most."""
RENEWING = 1.0
"""Seconds for which others are still known while the first of them proves it anew."""
IDENTITIES = 20_000
DROPS = 10_000
SEEN = 20_000

_64_BITS = 2**64 - 1
_UNCHANGED = b"304"
_TAG = re.compile(rb'(?:W/)?("[^"]*")')


@dataclass(slots=True)
class _Remembered:
    identity: Identity
    until: float
    renewing: bool = False


class Following(Protocol):
    """Whoever follows the changes (index.follow)."""

    fresh_until: float
    """Until when (time.monotonic) what was kept is as true as one poll ago."""


class Hot:
    """The answers that are kept; those kept longest go first. ``memory`` in bytes.

    While changes are not followed, nothing is answered here. ``unusual`` are further names of
    header fields (in lower case) that only doors understand. One Hot belongs to one event loop.
    """

    def __init__(
        self,
        defaults: policy.Defaults,
        *,
        memory: int,
        following: Following,
        unusual: frozenset[bytes] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
        meters: Meters | None = None,
        root_path: str = "",
    ) -> None:
        self._defaults, self._memory, self._clock = defaults, memory, clock
        self._following = following
        self.unusual = UNUSUAL | unusual
        self._used = 0
        self._answers: OrderedDict[Key, Answer] = OrderedDict()
        self._of: dict[NormalizedName | None, set[Key]] = {}
        self._tick = 0
        self._dropped: OrderedDict[NormalizedName, int] = OrderedDict()
        self._all_dropped = 0
        self._secret = secrets.token_bytes(32)
        self._identities: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._seen: dict[bytes, Question] = {}
        self._ids = secrets.randbits(64)
        self._lines: tuple[object, bytes] = (None, b"")
        self.given = 0
        """How many answers were given from here."""
        self.missed = 0
        """How many questions were passed on."""
        self.counting = Counting(meters or Meters(), root_path)
        self.counting.watch(
            hot_hits=lambda: self.given,
            hot_misses=lambda: self.missed,
            hot_bytes=lambda: self._used,
            hot_answers=lambda: len(self._answers),
        )

    # Asking

    def find(self, asked: Question) -> Answer | None:
        """The answer, if it is at hand and whoever asks may have it."""
        who = asked.who if asked.authorization is None else self._who(asked)
        found = self._answers.get(asked.key) or self._answers.get((*asked.key, who))
        if found is None and asked.if_none_match is not None:
            found = self._answers.get((*asked.key, _UNCHANGED)) or self._answers.get(
                (*asked.key, who, _UNCHANGED)
            )
        if found is None:
            return None
        now = self._clock()
        if now > self._following.fresh_until or now >= found.until:
            return None
        if who is None:
            if not found.for_everyone and not self._may(None, found):
                return None
        elif (identity := self._known(who, now)) is None or (
            found.allowed.get(who) is not identity and not self._may(identity, found, who)
        ):
            return None
        if asked.if_none_match is None:
            self.given += 1
            found.given.value += 1
            return found
        return self._conditional(found, asked.if_none_match)

    def see(self, head: bytes, asked: Question) -> None:
        """Remember what a request of these very bytes asks, unless they are very many."""
        if len(head) > LONGEST:
            return
        self._seen[self._short(head)] = asked
        while len(self._seen) > SEEN:
            del self._seen[next(iter(self._seen))]

    def find_seen(self, head: bytes) -> tuple[Question, Answer] | None:
        """The answer to a request of these very bytes, if they were seen before."""
        asked = self._seen.get(self._short(head))
        found = None if asked is None else self.find(asked)
        return None if asked is None or found is None else (asked, found)

    def _conditional(self, found: Answer, if_none_match: bytes) -> Answer | None:
        if found.etag is None:
            return None
        if if_none_match.strip() == b"*" or found.etag in _TAG.findall(if_none_match):
            found = found.unchanged or found
        elif found.status == 304:  # for the page itself somebody has to ask a door
            return None
        self.given += 1
        found.given.value += 1
        return found

    def _may(self, identity: Identity | None, found: Answer, who: bytes = b"") -> bool:
        """Whether somebody may have the answer, which then remembers it."""
        if found.project is not None and not policy.allows(
            identity,
            Permission.READ,
            found.project,
            found.generation,
            found.grants,
            self._defaults,
        ):
            return False
        if identity is None:
            found.for_everyone = True
        else:
            found.allow(who, identity)
        return True

    def _known(self, who: bytes, now: float) -> Identity | None:
        """Who that is; once a while somebody has to prove it, the others need not wait for it."""
        kept = self._identities.get(who)
        if kept is None:
            return None
        if kept.until > now:
            return kept.identity
        if kept.renewing:
            del self._identities[who]
        else:
            kept.until, kept.renewing = now + RENEWING, True
        return None

    def request_id(self) -> bytes:
        """An id that is not given twice; it costs next to nothing."""
        self._ids = (self._ids + 1) & _64_BITS
        return b"%016x" % self._ids

    def lines(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """Header lines, joined once for each list: uvicorn's, which has a new one each second."""
        if self._lines[0] is not headers:
            joined = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
            self._lines = (headers, joined)
        return self._lines[1]

    # Keeping

    def offer(self) -> Offer:
        """To be made before a door looks at anything."""
        return Offer(self._tick)

    def keep(self, asked: Question, offer: Offer, made: Answer) -> None:
        """Keep an answer that was offered, unless something changed meanwhile."""
        if not offer.made or len(made.body) > LARGEST or self._changed_since(offer):
            return
        if offer.personal and self._changed_at_all_since(offer):
            return
        key = asked.key
        if offer.personal:
            who = self._who(asked)
            if offer.known != (who is not None):  # known by something that is not asked for here
                return
            key = (*key, who)
        if made.status == 304:  # nothing for those who have no page yet
            key = (*key, _UNCHANGED)
        made.project, made.generation, made.grants = offer.project, offer.generation, offer.grants
        made.until = offer.until
        self.counting.prepare(key, made, offer.download)
        self._drop_key(key)
        self._answers[key] = made
        self._of.setdefault(made.project, set()).add(key)
        self._used += len(made.body) + OVERHEAD
        while self._used > self._memory and self._answers:
            self._drop_key(next(iter(self._answers)))

    def remember(self, authorization: bytes, identity: Identity, *, offer: Offer) -> None:
        """Whoever sent this proved to be somebody, a moment ago."""
        if self._all_dropped > offer.since:
            return
        who = self._digest(authorization)
        self._identities.pop(who, None)
        self._identities[who] = _Remembered(identity, self._clock() + REMEMBERED)
        while len(self._identities) > IDENTITIES:
            self._identities.popitem(last=False)

    def close(self) -> None:
        """Give nothing any more: all questions are for the doors."""
        self._memory = 0
        self.drop(None)

    # Forgetting

    def drop(self, name: NormalizedName | None) -> None:
        """A project changed, or (None) any may have."""
        self._tick += 1
        if name is None:
            self._all_dropped = self._tick
            self._dropped.clear()
            self._answers.clear()
            self._of.clear()
            self._used = 0
            return
        self._dropped.pop(name, None)
        self._dropped[name] = self._tick
        while len(self._dropped) > DROPS:
            _, tick = self._dropped.popitem(last=False)
            self._all_dropped = max(self._all_dropped, tick)
        for key in (*self._of.get(name, ()), *self._of.get(None, ())):
            self._drop_key(key)

    def drop_rights(self) -> None:
        """Somebody's rights changed, or who somebody is."""
        self._identities.clear()
        self.drop(None)

    def _changed_since(self, offer: Offer) -> bool:
        last = self._dropped.get(offer.project, 0) if offer.project is not None else 0
        return max(last, self._all_dropped) > offer.since

    def _changed_at_all_since(self, offer: Offer) -> bool:
        return self._tick > offer.since

    def _drop_key(self, key: Key) -> None:
        gone = self._answers.pop(key, None)
        if gone is None:
            return
        self._used -= len(gone.body) + OVERHEAD
        keys = self._of[gone.project]
        keys.discard(key)
        if not keys:
            del self._of[gone.project]

    def _short(self, head: bytes) -> bytes:
        return hashlib.blake2b(head, digest_size=16, key=self._secret).digest()

    def _who(self, asked: Question) -> bytes | None:
        if asked.authorization is not None:
            asked.who, asked.authorization = self._digest(asked.authorization), None
        return asked.who

    def _digest(self, authorization: bytes) -> bytes:
        """What stands for credentials: nothing that is kept tells them."""
        return hmac.digest(self._secret, authorization, "sha256")

"""Passwords that everybody tries first: the most used ones, and the patterns behind them.

These are mostly words and names, each with digits or signs around it, with letters exchanged
for digits, or repeated; and walks over the keyboard.
"""

from __future__ import annotations

import re
from functools import cache

_OURS = """
    abc abcd account administrator autumn baby change changeit changemenow database debian
    december demo february guest hallo helloworld january june kaffee letmeinnow login manager
    march mynoob november october package packages passphrase passwd public pypi pypicloud
    qwer qwertz secrets september service superuser system temporary trustnoi trustnoone upload
    user xxx
"""
"""What those lists lack, and software like this one suggests."""
_MOST_USED = 10_000
_NAMES = ("male_names", "female_names", "surnames")
_MOST_COMMON = 1_000
_WALKS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1q2w3e4r5t6y7u8i9o0p",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "qazwsxedcrfvtgbyhnujm",
)
_LEET = str.maketrans("0134578@$!", "oieastbasi")
_AROUND = re.compile(r"\A[\W\d_]*(.*?)[\W\d_]*\Z", re.DOTALL)
_SEPARATORS = re.compile(r"[\W_]+")
_WALK_LENGTH = 4


def is_guessable(password: str, name: str = "") -> bool:
    """Whether the password is among the first that a guesser tries, for this user too.

    Reads lists when it is first asked, and so belongs into a thread.
    """
    folded = password.casefold()
    spellings = {folded, folded.translate(_LEET)}
    cores = {match[1] for text in spellings if (match := _AROUND.match(text))}
    cores |= {core.translate(_LEET) for core in cores}
    words = _words() | {name.casefold()}
    return any(_is_word(text, words) for text in cores | spellings) or _walks(folded)


@cache
def _words() -> frozenset[str]:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # 10 MB, for few processes and seldom

    listed = set(FREQUENCY_LISTS["passwords"][:_MOST_USED]) | set(_OURS.split())
    return frozenset(listed.union(*(FREQUENCY_LISTS[kind][:_MOST_COMMON] for kind in _NAMES)))


def _is_word(text: str, words: frozenset[str]) -> bool:
    """Nothing, one of the words, or one of them again and again."""
    text = _SEPARATORS.sub("", text)
    unit = text[: (text + text).find(text, 1)]
    return text in words or unit in words or len(unit) <= 2


def _walks(text: str) -> bool:
    """Whether all of it is made of runs along the alphabet, the digits or the keyboard."""
    runs = (*_WALKS, *(walk[::-1] for walk in _WALKS))
    while text:
        longest = max(_common_run(text, run) for run in runs)
        if longest < _WALK_LENGTH:
            # A few digits at the end do not make a walk a secret.
            return text.isdigit() and len(text) < _WALK_LENGTH
        text = text[longest:]
    return True


def _common_run(text: str, run: str) -> int:
    """How many characters from the start of the text stand one after another in the run."""
    length = 0
    while length < len(text) and text[: length + 1] in run:
        length += 1
    return length

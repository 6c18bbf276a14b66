"""Passwords that everybody tries first: the patterns behind the lists of leaked ones.

A list of the thousand most used passwords is mostly some hundred words, each with digits or
signs around it, with letters exchanged for digits, or repeated; and walks over the keyboard.
"""

from __future__ import annotations

import re

_LISTED = """
    abc abcd access account admin administrator alexander america andrea andrew angel angela
    anthony apple arsenal ashley august austin autumn baby bailey barcelona baseball basketball
    batman beautiful blink blue bond boston brandon buster butterfly camaro change changeit
    changeme changemenow charlie cheese chelsea chicken chocolate chris christ christian
    computer cookie corvette cowboys dallas daniel database debian december default demo dennis
    diamond donald dragon eagles elizabeth enter february ferrari flower football forever
    freedom friday friends gandalf ginger golf google guest guitar hallo hammer hannah happy
    harley heather hello helloworld hockey hunter iceman iloveu iloveyou internet jackson
    january jasmine jennifer jessica jesus johnny jordan joshua july june justin killer ladies
    letmein letmeinnow liverpool login london lovely loveme loveyou maggie manager march marina
    martin master matrix matthew maverick maxwell mercedes merlin michael michelle midnight mine
    mission monday monkey monster morgan mother mountain mustang mynoob naruto nicholas nicole
    ninja november october oracle orange package packages pass passphrase passwd password
    passwords patrick peanut pepper phoenix player please pokemon porsche princess private
    public purple pypi pypicloud python qazwsx qwer qwert qwerty qwertz rachel ranger redsox
    rock root samantha samsung scooter secret secrets security september server service shadow
    silver slayer slipknot soccer spider spiderman spring starwars steelers steven stupid summer
    sunday sunshine superman superuser swordfish system temp temporary test testing thomas
    thunder thursday tiger tigger trustno trustnoi trustnoone tuesday upload user username
    victoria wednesday welcome whatever william winner winter wizard xxx yamaha yankees zxcvbn
    zxcvbnm
"""
_WORDS = frozenset(_LISTED.split())
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
    """Whether the password is among the first that a guesser tries, for this user too."""
    folded = password.casefold()
    spellings = {folded, folded.translate(_LEET)}
    cores = {match[1] for text in spellings if (match := _AROUND.match(text))}
    cores |= {core.translate(_LEET) for core in cores}
    words = _WORDS | {name.casefold()}
    return any(_is_word(text, words) for text in cores | spellings) or _walks(folded)


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

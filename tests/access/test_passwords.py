"""Passwords: the rules, the hash, the pool and the memory."""

from __future__ import annotations

import asyncio
import math
import time

import argon2
import pytest

from app import errors
from app.access import hashes
from app.access import passwords as module
from app.access.guessable import is_guessable
from app.access.passwords import Passwords, generate
from app.access.pool import HashPool
from app.access.verified import Verified

PASSWORD = "a fine long passphrase"
FIRST_GUESSES = """
    password password1 Password123! p@ssw0rd P@$$w0rd2024 12345678 123456789012 87654321
    1234567890 11111111 000000000000 qwertyuiop qwertyuiop123 qwerty123456 1q2w3e4r5t6y
    1qaz2wsx3edc asdfghjkl abcdefghijkl abc123456789 iloveyou iloveyou1234 sunshine2024!
    Welcome2025!! Andrew2024!! coffee-2026-2027 letmein12345
    adminadmin admin-admin-1 changeme1234 trustno1trustno1
    monkeymonkey xxxxxxxxxxxx abababababab zxcvbnm12345 passwordpassword !!!!password!!!!
    Summer2026!!! dragon123456
"""


@pytest.mark.parametrize(
    "password",
    FIRST_GUESSES.split(),
)
def test_what_everybody_tries_first_is_known(password: str) -> None:
    """Words, repetitions, walks and their decorations are guessable."""
    assert is_guessable(password)


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "correct horse battery",
        "kumquat-and-quince",
        "grüne Wiesen im Mai",
        "tr0ub4dor&3xyz",
    ],
)
def test_a_passphrase_is_no_first_guess(password: str) -> None:
    """Ordinary passphrases are left alone."""
    assert not is_guessable(password)


def test_the_own_name_is_a_first_guess() -> None:
    """A user's name with digits around it is no password for this user."""
    assert is_guessable("Benedikta.1984", "benedikta")
    assert not is_guessable("Benedikta.1984", "alice")


def test_generated_passwords_are_random_and_pass_the_rules() -> None:
    """At least 120 bits, of letters and digits that are told apart, never twice the same."""
    made = {generate() for _ in range(100)}
    assert len(made) == 100
    assert min(len(one) for one in made) * math.log2(30) >= 120
    assert not set("".join(made)) & set("0O1lIo")
    assert not any(is_guessable(one) for one in made)


@pytest.mark.parametrize(
    ("password", "least", "message"),
    [
        ("", 12, "at least 12 bytes"),
        ("elevenchars", 12, "at least 12 bytes"),
        ("kumquats", 9, "at least 9 bytes"),
        ("x y" * 342, 12, "at most 1024 bytes"),
        ("ü" * 513, 12, "at most 1024 bytes"),
        ("twelve\0chars", 12, "no NUL"),
        ("twelve \ud800 chars", 12, "valid UTF-8"),
        ("password1234", 12, "first that anybody tries"),
    ],
)
async def test_bad_new_passwords(password: str, least: int, message: str) -> None:
    """What breaks a rule is refused, and the message says which."""
    passwords = Passwords(min_length=least)
    with pytest.raises(errors.InvalidPassword, match=message):
        await passwords.hash(password)
    assert passwords.computed == 0
    await passwords.close()


async def test_lengths_are_bytes_after_composition(passwords: Passwords) -> None:
    """Twelve bytes are enough, 1,024 are not too many."""
    assert passwords.check("sixüäöchar") == "sixüäöchar".encode()
    assert len(passwords.check("kü" + "é, " * 255 + "k")) <= 1024
    with pytest.raises(errors.InvalidPassword):
        passwords.check("u\u0308" * 5 + "x")


def test_the_least_length_has_a_floor() -> None:
    """No setting allows passwords below eight bytes."""
    with pytest.raises(errors.Misconfigured):
        Passwords(min_length=7)


async def test_the_hash_is_argon2id_with_the_parameters() -> None:
    """By default argon2id with 19 MiB, two passes, one lane; salted, so never twice the same."""
    passwords = Passwords()
    first, second = await passwords.hash(PASSWORD), await passwords.hash(PASSWORD)
    await passwords.close()
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    assert hashes.verify(first, PASSWORD.encode())
    assert not hashes.verify(first, b"another passphrase")
    assert not passwords.outdated(first)


@pytest.mark.parametrize(
    "hash", ["", "$", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$é$é", "$argon2i$x", "plain", "!"]
)
def test_a_hash_of_unknown_make_matches_nothing(hash: str) -> None:
    """A damaged or foreign hash lets nobody in and raises nothing."""
    assert not hashes.verify(hash, hash.encode())


async def test_the_decoy_costs_what_a_hash_costs(passwords: Passwords) -> None:
    """What an unknown user is checked against has the make of a real hash, and fits nothing."""
    made = await passwords.hash(PASSWORD)
    fake = module.decoy(64, 1)
    assert argon2.extract_parameters(fake) == argon2.extract_parameters(made)
    assert len(fake) == len(made)
    assert not hashes.verify(fake, PASSWORD.encode())
    assert module.decoy(64, 1) != fake


async def test_the_hash_of_other_parameters_is_outdated(passwords: Passwords) -> None:
    """Hashes made with other parameters, or another scheme, are made anew at login."""
    other = Passwords(memory=128, passes=1)
    made = await other.hash(PASSWORD)
    await other.close()
    assert passwords.outdated(made)
    assert passwords.outdated("$5$rounds=5000$salt$digest")
    assert await passwords.verify(made, PASSWORD, stamp="alice 1")


async def test_a_right_password_is_computed_once(passwords: Passwords) -> None:
    """Remembered by user, version and hash; a new version or another user is computed again."""
    made = await passwords.hash(PASSWORD)
    before = passwords.computed
    for _ in range(10):
        assert await passwords.verify(made, PASSWORD, stamp="alice 1")
    assert passwords.computed - before == 1
    assert await passwords.verify(made, PASSWORD, stamp="alice 2")
    assert await passwords.verify(made, PASSWORD, stamp="bob 1")
    assert passwords.computed - before == 3
    again = await passwords.hash(PASSWORD)
    assert await passwords.verify(again, PASSWORD, stamp="alice 1")
    assert passwords.computed - before == 5


async def test_a_wrong_password_is_computed_each_time(passwords: Passwords) -> None:
    """Wrong passwords, and those of nobody, are never remembered."""
    made = await passwords.hash(PASSWORD)
    before = passwords.computed
    for _ in range(3):
        assert not await passwords.verify(made, "another passphrase", stamp="alice 1")
        assert not await passwords.verify(None, PASSWORD, stamp="bob")
    assert passwords.computed - before == 6


async def test_what_is_remembered_ends() -> None:
    """After a minute the password is computed again, however often it was used."""
    now = [0.0]
    passwords = Passwords(memory=64, passes=1, clock=lambda: now[0])
    made = await passwords.hash(PASSWORD)
    for second, computed in [(0, 2), (30, 2), (59.9, 2), (60, 3), (119, 3), (120, 4)]:
        now[0] = second
        assert await passwords.verify(made, PASSWORD, stamp="alice 1")
        assert passwords.computed == computed
    await passwords.close()


def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    """Of more than fit, the latest are kept; what was added again counts as late."""
    verified = Verified(size=3)
    keys = [verified.key("alice", "hash", bytes([n])) for n in range(5)]
    for key in (*keys[:3], keys[0], *keys[3:]):
        verified.add(key)
    assert len(verified) == 3
    assert [key in verified for key in keys] == [True, False, False, True, True]


def test_the_memory_holds_no_password() -> None:
    """Two memories know the same password by different keys, and neither is a plain digest."""
    first, second = Verified(), Verified()
    assert first.key("alice", "h", b"x") != second.key("alice", "h", b"x")
    assert first.key("a", "bc", b"x") != first.key("ab", "c", b"x")


async def test_the_pool_refuses_beyond_its_queue() -> None:
    """Threads and queue are bounded: what comes on top is Busy, and room returns."""
    pool = HashPool(threads=2, queue=3)
    futures = [pool.submit(time.sleep, 0.05) for _ in range(5)]
    with pytest.raises(errors.Busy):
        pool.submit(time.sleep, 0)
    await asyncio.gather(*futures)
    await pool.submit(time.sleep, 0)
    assert pool.computed == 6
    await pool.close()


async def test_who_stops_waiting_stops_nobody_else() -> None:
    """Of several who wait for one computation, one may go; the place is freed when it ends."""
    passwords = Passwords(threads=1, queue=0)
    made = await passwords.hash(PASSWORD)
    tasks = [
        asyncio.create_task(passwords.verify(made, PASSWORD, stamp="alice 1")) for _ in range(3)
    ]
    await asyncio.sleep(0)
    tasks[0].cancel()
    assert await asyncio.gather(*tasks[1:]) == [True, True]
    assert passwords.computed == 2
    assert await passwords.verify(made, "another passphrase", stamp="alice 1") is False
    await passwords.close()

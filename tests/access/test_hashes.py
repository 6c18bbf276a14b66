"""Hashes of all makes, beside what another library makes of the same passwords."""

from __future__ import annotations

import random
import warnings
from typing import Any

import pytest

from app.access import hashes
from app.access.passwords import Passwords, check

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from passlib import hash as others

MAKERS: dict[str, Any] = {
    "$6$": others.sha512_crypt.using(rounds=1000),
    "$6$ without rounds": others.sha512_crypt.using(rounds=5000),
    "$5$": others.sha256_crypt.using(rounds=1000),
    "$pbkdf2-sha512$": others.pbkdf2_sha512.using(rounds=10),
    "$pbkdf2-sha256$": others.pbkdf2_sha256.using(rounds=10),
    "$2b$": others.bcrypt.using(rounds=4),
    "$argon2id$": others.argon2.using(time_cost=1, memory_cost=64, parallelism=2),
}
LENGTHS = (0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 71, 72)


@pytest.mark.parametrize("make", MAKERS)
def test_other_libraries_hashes_verify(make: str) -> None:
    """Whatever a password's length and letters, its hash verifies, and another's does not."""
    chance = random.Random(make)
    for length in LENGTHS:
        password = bytes(chance.randrange(1, 256) for _ in range(length))
        made = MAKERS[make].hash(password)
        assert made.startswith(make.partition(" ")[0])
        assert hashes.is_hash(made)
        assert hashes.verify(made, password)
        for wrong in (password[:-1] + b"\xff\xfe", b"x" + password, password.swapcase() + b"!"):
            assert hashes.verify(made, wrong) == MAKERS[make].verify(wrong[:72], made)


@pytest.mark.parametrize("make", [make for make in MAKERS if make != "$2b$"])
def test_long_passwords_verify(make: str) -> None:
    """Passwords far beyond the block of a hash verify too."""
    password = b"a long one, \xc3\xbc " * 70
    assert hashes.verify(MAKERS[make].hash(password), password)


def test_bcrypt_looks_at_72_bytes_as_it_always_did() -> None:
    """A password that was cut when it was hashed goes on to be right."""
    password = b"p" * 72
    made = MAKERS["$2b$"].hash(password)
    assert hashes.verify(made, password + b"and all that follows")
    assert not hashes.verify(made, password[:-1] + b"q" + b"and all that follows")


@pytest.mark.parametrize("make", MAKERS)
def test_a_decoy_costs_the_same_and_fits_nothing(make: str) -> None:
    """Of every make there is a hash of the same parameters that no password belongs to."""
    made = MAKERS[make].hash(b"password")
    decoy = hashes.like(made)
    assert decoy != made
    assert hashes.kind(decoy) == hashes.kind(made)
    assert not hashes.verify(decoy, b"password")
    assert MAKERS[make].verify(b"password", decoy) is False


@pytest.mark.parametrize(
    "hash",
    [
        "$6$rounds=1000001$saltsalt$" + "a" * 86,
        "$5$rounds=999999999$saltsalt$" + "a" * 43,
        "$pbkdf2-sha256$1000001$c2FsdHNhbHQ$" + "a" * 43,
        "$pbkdf2-sha512$99999999$c2FsdHNhbHQ$" + "a" * 86,
        "$2b$17$" + "a" * 53,
        "$argon2id$v=19$m=524289,t=1,p=1$c2FsdHNhbHQ$" + "a" * 43,
        "$argon2id$v=19$m=64,t=65,p=1$c2FsdHNhbHQ$" + "a" * 43,
        "$argon2id$v=19$m=64,t=1,p=9$c2FsdHNhbHQ$" + "a" * 43,
    ],
)
def test_what_costs_too_much_is_no_hash(hash: str) -> None:
    """Nobody can bring in a hash that keeps the service busy."""
    assert not hashes.is_hash(hash)
    assert not hashes.verify(hash, b"password")
    assert hashes.kind(hash) is None


@pytest.mark.parametrize(
    "hash",
    [
        *("", "$", "plain", "$6$", "$6$salt", "$6$salt$", "$5$rounds=x$salt$" + "a" * 43),
        *("$6$salt$" + "a" * 85, "$6$salt$" + "ä" * 86, "$6$" + "s" * 17 + "$" + "a" * 86),
        *("$pbkdf2-sha256$10$c2FsdA$" + "a" * 42, "$pbkdf2-md5$10$c2FsdA$" + "a" * 22),
        *("$pbkdf2-sha256$0$c2FsdA$" + "a" * 43, "$2b$03$" + "a" * 53, "$2b$aa$" + "a" * 53),
        *("$2x$05$" + "a" * 53, "$argon2id$v=19$m=1,t=1,p=1$c2Fs$abcd", "$1$abc$" + "a" * 22),
    ],
)
def test_what_is_malformed_is_no_hash(hash: str) -> None:
    """A damaged hash lets nobody in and raises nothing."""
    assert not hashes.is_hash(hash)
    assert not hashes.verify(hash, b"password")


@pytest.mark.parametrize("make", ["$6$", "$5$", "$pbkdf2-sha256$", "$2b$"])
def test_a_hash_of_a_line_with_its_end_takes_the_line(make: str) -> None:
    """What was made of "password" and a newline is right for the password alone."""
    made = MAKERS[make].hash("password\n")
    assert check(made, [b"password"], [])
    assert not check(made, [b"passwor"], [])


async def test_a_password_typed_decomposed_verifies_as_it_was_hashed() -> None:
    """What was hashed as it came from the keyboard, uncomposed, is right when typed so again."""
    passwords = Passwords(memory=64, passes=1)
    typed = "pa\u0308ssphrase"
    made = MAKERS["$6$"].hash(typed)
    assert await passwords.verify(made, typed, stamp="alice")
    assert not await passwords.verify(made, "passphrase", stamp="alice")
    assert await passwords.verify(await passwords.rehash(typed), "pässphrase", stamp="alice")
    await passwords.close()


async def test_aut_5_nobody_costs_what_a_legacy_hash_costs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once hashes of several makes are there, every failure computes one of each of them."""
    computed: list[str | None] = []
    verify = hashes.verify

    def counted(hash: str, password: bytes) -> bool:
        computed.append(hashes.kind(hash))
        return verify(hash, password)

    monkeypatch.setattr(hashes, "verify", counted)
    passwords = Passwords(memory=64, passes=1)
    own = await passwords.hash("a fine long passphrase")
    stored = {"own": own, **{make: MAKERS[make].hash("password") for make in ("$6$", "$2b$")}}
    for hash in stored.values():
        passwords.expect(hash)
    costs = set()
    for hash in (*stored.values(), None, "unusable"):
        computed.clear()
        assert not await passwords.verify(hash, "another passphrase", stamp="somebody")
        costs.add(tuple(sorted(map(str, computed))))
    assert len(costs) == 1
    assert len(costs.pop()) == 5  # both old ones also with the end of a line
    await passwords.close()

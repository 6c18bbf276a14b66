"""The questions of ``pypicloud config init``, and the settings that come of the answers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import typer
from pydantic import ValidationError

from app.access.guessable import is_guessable
from app.config import Settings

PURPOSES = ("trying it out, on this machine", "one server", "several servers that share all")
STORES = ("a folder", "S3, or what speaks like it", "Google Cloud Storage", "Azure Blob Storage")


@dataclass(slots=True)
class Answers:
    """Settings as TOML has them, and the admin that is to be made, if one is."""

    settings: dict[str, Any] = field(default_factory=dict)
    admin: tuple[str, str] | None = None

    def group(self, name: str, **values: str) -> None:
        """Settings of a group, as far as they were answered."""
        given = {key: value for key, value in values.items() if value}
        if given:
            self.settings[name] = given


class Dialogue:
    """Asks on standard error; an answer that cannot be is asked for again."""

    def __init__(self) -> None:
        self._answers = Answers()

    def ask(self) -> Answers:
        """All of it."""
        answers = self._answers
        purpose = _choice("What is it for?", PURPOSES)
        self._storage(_choice("Where do the files go?", STORES))
        if purpose == len(PURPOSES) - 1:
            url = self._setting(
                "Database for cache and users (postgresql://USER:PASSWORD@HOST/NAME)", "cache"
            )
            answers.settings["access"] = url
        else:
            answers.settings["cache"] = "sqlite+aiosqlite:///data/cache.db"
            answers.settings["access"] = "sqlite+aiosqlite:///data/access.db"
        if purpose > 0:
            answers.settings["host"] = _text("Address to listen on", "127.0.0.1")
            self._setting("URL that clients use (https://…)", "public_url")
        if _yes("May everyone read, without a login?", purpose == 0):
            answers.settings["default_read"] = ["everyone"]
        name = _text("Name of the admin", "admin")
        answers.admin = (name, self._password())
        # Groups come last in TOML.
        answers.settings = dict(
            sorted(answers.settings.items(), key=lambda pair: isinstance(pair[1], dict))
        )
        return answers

    def _storage(self, chosen: int) -> None:
        answers = self._answers
        if chosen == 0:
            self._setting("Which folder?", "storage", "data/packages", lambda path: f"file:{path}")
            return
        scheme, what = (("s3", "Bucket"), ("gs", "Bucket"), ("azure", "Container"))[chosen - 1]
        place = self._setting(f"{what}?", "storage", None, lambda name: f"{scheme}://{name}")
        prefix = _text("What keys begin with (a folder in it; empty: nothing)", "").strip("/")
        answers.settings["storage"] = f"{place}/{prefix}" if prefix else place
        if scheme == "s3":
            answers.group(
                "s3",
                region=_text("Region (empty: the SDK's)", ""),
                endpoint_url=_text("Endpoint (empty: AWS)", ""),
                **_pair("Access key (empty: the SDK finds credentials)", "Secret key"),
            )
        elif scheme == "gs":
            answers.group("gcs", service_account_file=_text("Key file (empty: the default)", ""))
        else:
            answers.group(
                "azure",
                account=_text("Storage account", ""),
                account_key=_secret("Account key (empty: Entra ID)"),
            )

    def _setting(
        self,
        question: str,
        name: str,
        default: str | None = None,
        made: Callable[[str], str] = lambda text: text,
    ) -> str:
        """Ask until the setting can be what was answered."""
        while True:
            value = made(_text(question, default))
            try:
                Settings.model_validate({name: value})
            except ValidationError as invalid:
                message = invalid.errors(include_url=False, include_input=False)[0]["msg"]
                typer.echo(message.removeprefix("Value error, "), err=True)
                continue
            self._answers.settings[name] = value
            return value

    @staticmethod
    def _password() -> str:
        shortest = Settings().password_min_length
        while True:
            asked: str = typer.prompt(
                "Password", hide_input=_hides(), confirmation_prompt=True, err=True
            )
            if len(asked) < shortest:
                typer.echo(f"A password has at least {shortest} characters.", err=True)
            elif is_guessable(asked):
                typer.echo("This password is among the first that anybody tries.", err=True)
            else:
                return asked


def _choice(question: str, choices: Sequence[str]) -> int:
    """The place of the choice, from 0."""
    typer.echo(question, err=True)
    for number, choice in enumerate(choices, 1):
        typer.echo(f"  [{number}] {choice}", err=True)
    while True:
        answer = _text("Number", "1")
        if answer.isdecimal() and 1 <= int(answer) <= len(choices):
            return int(answer) - 1
        typer.echo(f"Write a number from 1 to {len(choices)}.", err=True)


def _text(question: str, default: str | None) -> str:
    asked: str = typer.prompt(question, default=default, show_default=bool(default), err=True)
    return asked.strip()


def _secret(question: str) -> str:
    asked: str = typer.prompt(question, default="", show_default=False, hide_input=True, err=True)
    return asked.strip()


def _hides() -> bool:
    """Whether there is a terminal on which a secret could be seen."""
    return sys.stdin.isatty()


def _yes(question: str, default: bool) -> bool:
    return typer.confirm(question, default=default, err=True)


def _pair(first: str, second: str) -> dict[str, str]:
    key = _text(first, "")
    return {"access_key_id": key, "secret_access_key": _secret(second)} if key else {}

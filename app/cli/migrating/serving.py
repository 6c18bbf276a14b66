"""The options ``pypi.…`` and those of the server: who may what, and upstreams."""

from __future__ import annotations

import re

from app import errors, names
from app.access.principals import AUTHENTICATED, EVERYONE, is_name
from app.cli.migrating.account import Account

MODES = ("redirect", "cache", "none", "mirror")
_ADMIN = "admin"


def account_for(account: Account, upstream: str) -> None:
    """Take over what says who may what, and upstreams; ``upstream`` is what the operator names."""
    _principals(account, "pypi.default_read", "default_read", AUTHENTICATED)
    _principals(account, "pypi.default_write", "default_write", "")
    _principals(account, "pypi.cache_update", "default_fetch", AUTHENTICATED)
    site = account.site
    stream = site.truth("pypi.stream_files")
    account.take("pypi.stream_files", "delivery", "stream" if stream else "redirect")
    _upstream(account, upstream)
    _server(account)


def _principals(account: Account, option: str, setting: str, default: str) -> None:
    found = []
    for word in account.site.words(option, default):
        if word in (EVERYONE, AUTHENTICATED):
            found.append(word)
        elif is_name(word) and word != _ADMIN:
            found.append(f"group:{word.lower()}")
        elif word != _ADMIN:  # they may everything
            raise errors.Misconfigured(
                f"{account.site.file}: {option} names {word!r}, which can be no group here"
            )
    account.take(option, setting, sorted(found))


def _upstream(account: Account, named: str) -> None:
    site = account.site
    mode = site.text("pypi.fallback", "redirect")
    if mode not in MODES:
        raise errors.Misconfigured(f"{site.file}: pypi.fallback is one of {', '.join(MODES)}")
    base = site.text("pypi.fallback_base_url").rstrip("/")
    url = named or (f"{base}/simple/" if base else site.text("pypi.fallback_url"))
    for option in ("pypi.fallback_base_url", "pypi.fallback_url"):
        account.take(option, "upstream", url)
    if mode == "none":
        account.say("pypi.fallback", "taken over", "as fallback = none: no upstream is asked")
    elif url:
        account.set("fallback", mode)
        account.set("upstream", url if url.endswith("/") else f"{url}/")
        account.say("pypi.fallback", "taken over", f"as fallback = {mode}")
    else:
        account.settings.pop("upstream", None)
        account.differs(
            "pypi.fallback",
            f"it is {mode!r} to the public index unless told otherwise; here an upstream is "
            "named or there is none: give --upstream URL",
            matters=True,
        )
    account.take(
        "pypi.always_show_upstream",
        "always_show_upstream",
        site.truth("pypi.always_show_upstream") and bool(url) and mode != "none",
    )
    reserved = [names.normalize(name) for name in site.words("pypi.disallow_fallback")]
    account.take("pypi.disallow_fallback", "rules.reserved", reserved)


def _server(account: Account) -> None:
    """Where it listened, if the file's own server section says so."""
    server = account.site.server
    for name, value in server.items():
        short = name.rpartition(".")[2]
        if name == "server:main.host" and re.fullmatch(r"[0-9A-Za-z.:_-]+", value):
            account.set("host", value)
            account.say(f"[{name}]", "taken over", "as host")
        elif name == "server:main.port" and value.isdigit():
            account.set("port", int(value))
            account.say(f"[{name}]", "taken over", "as port")
        elif short in ("processes", "workers") and value.isdigit():
            account.differs(f"[{name}]", "one worker is the default; more are the setting workers")

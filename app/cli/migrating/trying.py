"""Before anything is written: whether the backends of the new settings can be opened."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from app import config, plugins
from app.access import chain
from app.cli import opening
from app.config import Settings

_ASKED = ("ldap", "ldaps", "remote", "aws-secrets")
"""Access that is asked and never made: opening it leaves nothing behind."""


@contextmanager
def loaded(text: str) -> Iterator[Settings]:
    """The settings as the service will have them, of a file that is not written yet."""
    before = os.environ.get(config.CONFIG)
    with tempfile.TemporaryDirectory(prefix="pypicloud-") as folder:
        file = Path(folder, "pypicloud.toml")
        file.write_text(text, encoding="utf-8")
        os.environ[config.CONFIG] = str(file)
        try:
            yield config.load()
        finally:
            os.environ.pop(config.CONFIG)
            if before is not None:
                os.environ[config.CONFIG] = before


async def asked(settings: Settings) -> None:
    """Open what can be opened without a trace: where users stay; the errors of its opening.

    Of the cache only the kind is looked at.
    """
    plugins.backend("cache", settings.cache)
    urls = [url for url in settings.access_urls if url.partition(":")[0] in _ASKED]
    if urls:
        async with chain.connect(urls, settings.access_options):
            pass


async def everything(settings: Settings, source: Settings | None) -> None:
    """Open all that the service will, and what is copied from; the errors of their opening."""
    async with AsyncExitStack() as stack:
        if source is not None:
            await stack.enter_async_context(opening.open_source(source))
        await stack.enter_async_context(opening.open_storage(settings))
        cache = plugins.backend("cache", settings.cache)
        await stack.enter_async_context(cache(settings.cache, settings.cache_options))
        access = chain.connect(settings.access_urls, settings.access_options)
        await stack.enter_async_context(access)

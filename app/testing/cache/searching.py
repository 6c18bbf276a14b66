"""What ``search`` finds."""

from __future__ import annotations

import pytest
from packaging.utils import NormalizedName

from app.cache.base import Cache, Query
from app.testing.cache.asking import names
from app.testing.cache.nouns import (
    CHANGE,
    make_file,
    make_project,
)


class Searching:
    """Terms are plain text, wherever they stand."""

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            (Query(), ["alpha", "beta", "gamma-ray", "gammaxray"]),
            (Query(operator="and"), ["alpha", "beta", "gamma-ray", "gammaxray"]),
            (Query(names=("",)), ["alpha", "beta", "gamma-ray", "gammaxray"]),
            (Query(names=("ALPH",)), ["alpha"]),
            (Query(names=("alp", "bet")), ["alpha", "beta"]),
            (Query(names=("a", "m"), operator="and"), ["gamma-ray", "gammaxray"]),
            (Query(names=("gamma-r",)), ["gamma-ray"]),
            (Query(names=("gamma_ray",)), []),
            (Query(names=("%",)), []),
            (Query(names=("a%a",)), []),
            (Query(names=("nothing",)), []),
            (Query(summaries=("größe",)), ["alpha"]),
            (Query(summaries=("GRÖSSE",)), ["alpha"]),
            (Query(summaries=("STRASSE",)), ["beta"]),
            (Query(summaries=("ОБРАЗ",)), ["alpha"]),
            (Query(summaries=("100%",)), ["beta"]),
            (Query(summaries=("0%_",)), ["beta"]),
            (Query(summaries=("_",)), ["beta"]),
            (Query(summaries=("\\",)), ["gamma-ray"]),
            (Query(summaries=("\\%",)), []),
            (Query(summaries=("/",)), ["gamma-ray"]),
            (Query(summaries=("'; drop",)), ["gammaxray"]),
            (Query(summaries=("after",)), ["gamma-ray"]),
            (Query(summaries=("\0",)), ["gamma-ray"]),
            (Query(summaries=("größe", "образ"), operator="and"), ["alpha"]),
            (Query(summaries=("größe", "100"), operator="and"), []),
            (Query(names=("beta",), summaries=("größe",), operator="and"), ["alpha", "beta"]),
            (Query(names=("beta", "alpha"), summaries=("drop",), operator="and"), ["gammaxray"]),
            (Query(summaries=("old summary",)), []),
            (Query(names=("x" * 70_000,)), []),
            (Query(names=("alpha", *(f"no{n}" for n in range(2_000)))), ["alpha"]),
            (Query(names=("%" * 900, "alpha")), ["alpha"]),
        ],
    )
    async def test_search(self, cache: Cache, query: Query, found: list[str]) -> None:
        """Terms are plain text without case; the operator joins terms, never names and
        summaries."""
        summaries = {
            "alpha": "Größe und Образ",
            "beta": "100%_sure of the Straße",
            "gamma-ray": "back\\slash /\0after",
            "gammaxray": "Robert'; DROP TABLE files",
        }
        await cache.restore(
            [
                make_project(name, make_file("1.0", NormalizedName(name), summary=text))
                for name, text in summaries.items()
            ],
            CHANGE,
        )
        await cache.save(make_file("0.9", summary="old summary"), CHANGE)
        assert await names(cache, query) == found
        assert await names(cache, query, limit=1) == found[:1]
        assert await names(cache, query, after="alpha") == [n for n in found if n > "alpha"]

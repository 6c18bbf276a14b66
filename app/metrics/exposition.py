"""Numbers as Prometheus reads them: its text format, and OpenMetrics for whoever asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from app.metrics import Key, Snapshot
from app.metrics.families import FAMILIES, Family

V = TypeVar("V")

PREFIX = "pypicloud_"


def written(snapshot: Snapshot, accept: str) -> tuple[bytes, str]:
    """The bytes and their media type, as an ``Accept`` header asks for."""
    encode, media_type = choose_encoder(accept)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(snapshot))
    return encode(registry), media_type


class _Collector(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        for name, family in FAMILIES.items():
            if family.kind == "histogram":
                yield from self._histogram(name, family)
            else:
                yield from self._numbers(name, family)

    def _numbers(self, name: str, family: Family) -> Iterator[Metric]:
        made: CounterMetricFamily | GaugeMetricFamily
        if family.kind == "counter":
            made = CounterMetricFamily(PREFIX + name, family.help, labels=family.labels)
        else:
            made = GaugeMetricFamily(PREFIX + name, family.help, labels=family.labels)
        for (_, labels), value in _of(name, self._snapshot.numbers.items()):
            made.add_metric(list(labels), value)
        yield made

    def _histogram(self, name: str, family: Family) -> Iterator[Metric]:
        made = HistogramMetricFamily(PREFIX + name, family.help, labels=family.labels)
        bounds = [*map(str, family.bounds), "+Inf"]
        for (_, labels), (counts, total) in _of(name, self._snapshot.timings.items()):
            buckets = list(zip(bounds, map(float, accumulate(counts)), strict=True))
            made.add_metric(list(labels), buckets, total)
        yield made


def _of(name: str, entries: Iterable[tuple[Key, V]]) -> list[tuple[Key, V]]:
    return sorted((entry for entry in entries if entry[0][0] == name), key=lambda one: one[0])

"""Everything that is measured, in one table. Pure.

The names gain ``pypicloud_`` before them and, where they count, ``_total`` behind.
docs/metrics.md lists them for people; a test compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

QUICK = (0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.01)
USUAL = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)
CALLS = (0.0005, 0.002, 0.01, 0.05, 0.2, 1.0, 5.0)


@dataclass(frozen=True, slots=True)
class Family:
    """What one name measures. ``merge``: how the numbers of several workers become one."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    merge: Literal["sum", "max", "min"] = "sum"


def _counter(help: str, *labels: str) -> Family:
    return Family("counter", help, labels)


def _gauge(help: str, *labels: str) -> Family:
    return Family("gauge", help, labels)


def _most(help: str, *labels: str) -> Family:
    return Family("gauge", help, labels, merge="max")


def _histogram(help: str, bounds: tuple[float, ...], *labels: str) -> Family:
    return Family("histogram", help, labels, bounds)


FAMILIES: Mapping[str, Family] = {
    # Requests
    "requests": _counter("Requests that were answered, hot ones included.", "door", "status"),
    "request_seconds": _histogram(
        "Time until the last byte was handed over, of requests that a door answered.",
        USUAL,
        "door",
    ),
    "requests_broken": _counter("Answers that broke off.", "door"),
    "requests_running": _gauge("Requests that doors are answering."),
    "connections": _gauge("Open connections."),
    "connections_refused": _counter(
        "Requests refused before anything was asked, for their framing or slowness.", "status"
    ),
    # Hot answers and pages
    "hot_hits": _counter("Requests answered by what was at hand."),
    "hot_misses": _counter("Requests that what was at hand could have answered, and did not."),
    "hot_seconds": _histogram(
        "Time of each 64th hot answer, of each where requests are traced.", QUICK
    ),
    "hot_bytes": _gauge("Memory of the answers that are at hand."),
    "hot_answers": _gauge("Answers that are at hand."),
    "pages_hits": _counter("Pages taken from those that are kept."),
    "pages_rendered": _counter("Pages that were rendered."),
    "pages_bytes": _gauge("Memory of the rendered pages that are kept."),
    # What is asked of others
    "calls": _counter("Calls to what stands behind.", "room", "call", "outcome"),
    "call_seconds": _histogram("Time of calls to what stands behind.", CALLS, "room", "call"),
    "upstream_requests": _counter(
        "Requests to upstreams, and those that failed.", "upstream", "outcome"
    ),
    "upstream_seconds": _histogram(
        "Time until answers of upstreams began, redirects included.", USUAL, "upstream"
    ),
    "upstream_pages": _counter("Pages of upstreams that were needed.", "upstream", "outcome"),
    "upstream_files": _counter("Files of upstreams.", "upstream", "outcome"),
    "upstream_dropped": _counter(
        "Entries of upstreams' pages that were left out, for they cannot be right.", "upstream"
    ),
    "upstream_bytes": _counter("Bytes that upstreams sent.", "upstream"),
    "upstream_left_alone": _gauge(
        "Processes that leave an upstream alone, for it failed.", "upstream"
    ),
    "calls_running": _gauge("Calls that are under way.", "room"),
    # Uploads
    "uploads": _counter("Uploads that were answered 200.", "outcome"),
    "upload_bytes": _counter("Bytes of the files that uploads published."),
    "upload_refusals": _counter("Uploads that were refused.", "reason"),
    # Replicas and the rebuild
    "serial": _most("Serial of the newest change."),
    "serial_seen": Family(
        "gauge",
        "Serial of the newest change that every worker of the replica has seen.",
        merge="min",
    ),
    "lag_serials": _most("Changes that the replica has not seen yet."),
    "changes_age_seconds": _most("Time since the replica read the changes."),
    "reindex_running": _most("Whether a reindex runs, on whatever replica."),
    "reindex_projects": _most("Projects that the latest reindex has compared."),
    "reindex_files": _most("Files that the latest reindex has compared."),
    "reindex_repaired": _most("Projects that the latest reindex has repaired."),
    "reindex_broken": _most("Projects that the latest reindex could not read."),
    "reindex_updated_timestamp_seconds": _most("When the latest reindex last said anything."),
    # Pools
    "pool_size": _gauge("How many a pool has.", "pool"),
    "pool_busy": _gauge("How many of them are taken.", "pool"),
    "pool_waiting": _gauge("How many wait for one.", "pool"),
    # Webhooks
    "webhook_deliveries": _counter("Tries to tell a webhook of changes.", "hook", "outcome"),
    "webhook_lag_serials": Family(
        "gauge", "Changes that a webhook was not told of yet.", ("hook",), merge="min"
    ),
    # The process
    "build_info": _most("Always 1; what runs.", "version", "python"),
    "workers": _gauge("Processes that serve."),
    "draining": _most("Whether a process was told to stop."),
    "started_timestamp_seconds": _most("When the youngest process started."),
    "memory_bytes": _gauge("Resident memory of the processes that serve."),
    "cpu_seconds": _counter("Processor time of the processes that serve."),
}

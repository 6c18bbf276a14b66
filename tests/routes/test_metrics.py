"""``/metrics``: who may read it, and that it is true."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from app.metrics.options import MetricsOptions
from tests.factories import make_wheel
from tests.processes import running
from tests.routes.site import ADMIN, Bearer, Site, site

TOKEN = "the eye of prometheus"
PROTECTED = MetricsOptions(token=SecretStr(TOKEN))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    """A service whose metrics are protected, and which everyone may read."""
    with site(tmp_path, metrics=PROTECTED, default_read=frozenset({"everyone"})) as found:
        yield found


def numbers(text: str) -> dict[str, float]:
    """Every sample by its name and labels, as Prometheus writes them."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{key}="{value}"' for key, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def read(place: Site) -> dict[str, float]:
    """The numbers, as Prometheus reads them."""
    answer = place.ask("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return numbers(answer.text)


def test_metrics_are_for_admins_and_the_token(place: Site) -> None:
    """Nobody else learns anything; a wrong token is a wrong credential."""
    alice = place.user("alice")
    own = place.token(permissions=["read"])["token"]
    answers = {
        None: 401,
        alice: 403,
        ("alice", "wrong"): 401,
        Bearer("the eye of sauron, wrong"): 401,
        Bearer(own): 403,  # an admin's token that may only read
        ADMIN: 200,
        Bearer(TOKEN): 200,
    }
    for auth, status in answers.items():
        answer = place.ask("GET", "/metrics", auth=auth)
        assert answer.status_code == status, (auth, answer.text)
        assert ("pypicloud_" in answer.text) == (status == 200)


@pytest.mark.parametrize(("access", "status"), [("off", 404), ("open", 200)])
def test_metrics_can_be_off_or_open(tmp_path: Path, access: str, status: int) -> None:
    """For everyone alike, the admin included."""
    options = MetricsOptions.model_validate({"access": access})
    with site(tmp_path, metrics=options) as place:
        for auth in (None, ADMIN):
            assert place.ask("GET", "/metrics", auth=auth).status_code == status


def test_requests_are_counted_by_door_and_status(place: Site) -> None:
    """Hot ones and others, refused and unknown ones, each once."""
    place.publish("demo")
    before = read(place)
    for _ in range(5):
        answer = place.ask("GET", "/simple/demo/")
    tag = {"If-None-Match": answer.headers["etag"]}
    assert [place.ask("GET", "/simple/demo/", headers=tag).status_code for _ in range(3)] == [
        304
    ] * 3
    place.ask("GET", "/simple/nothing/")
    place.ask("GET", "/no/such/page")
    after = read(place)

    def more(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert more('pypicloud_requests_total{door="simple",status="200"}') == 5
    assert more('pypicloud_requests_total{door="simple",status="304"}') == 3
    assert more('pypicloud_requests_total{door="simple",status="404"}') == 1
    assert more('pypicloud_requests_total{door="other",status="404"}') == 1
    hits = more("pypicloud_hot_hits_total")
    assert hits > 0
    slow = more('pypicloud_request_seconds_count{door="simple"}')
    assert hits + slow == 9
    deadline = time.monotonic() + 30
    while read(place)["pypicloud_hot_bytes"] == 0:  # all are dropped at a first look at rights
        assert time.monotonic() < deadline
        place.ask("GET", "/simple/demo/")
    assert after["pypicloud_pages_rendered_total"] > 0
    assert after["pypicloud_connections"] >= 1
    assert after["pypicloud_requests_running"] == 1
    assert after["pypicloud_memory_bytes"] > 2**20


def test_uploads_and_refusals_are_counted(place: Site) -> None:
    """By what came of them, and by why not."""
    made = place.publish("demo")
    assert place.upload(made, "demo", auth=ADMIN).status_code == 200
    other = make_wheel("demo", "1.0", files={"more.py": b"more"})
    assert place.upload(other, "demo", auth=ADMIN).status_code == 400
    assert place.upload(made, "demo", auth=ADMIN, version="2.0").status_code == 400
    alice = place.user("alice")
    assert place.upload(made, "demo", auth=alice).status_code == 403
    found = read(place)
    assert found['pypicloud_uploads_total{outcome="new"}'] == 1
    assert found['pypicloud_uploads_total{outcome="same"}'] == 1
    assert found["pypicloud_upload_bytes_total"] == len(made.content)
    for why in ("file_exists", "version", "forbidden"):
        assert found[f'pypicloud_upload_refusals_total{{reason="{why}"}}'] == 1
    create = 'pypicloud_calls_total{call="create",outcome="ok",room="storage"}'
    assert found[create] >= 2
    assert found['pypicloud_call_seconds_count{call="save",room="cache"}'] == 1


def test_serials_pools_and_the_rebuild_are_told(place: Site) -> None:
    """How far the replica is behind, what its pools have, what the reindex did."""
    place.publish("demo")
    found = read(place)
    assert found["pypicloud_serial"] >= 1
    assert 0 <= found["pypicloud_lag_serials"] <= found["pypicloud_serial"]
    assert found['pypicloud_pool_size{pool="inspectors"}'] == 1
    assert found['pypicloud_pool_busy{pool="inspectors"}'] == 0
    assert found['pypicloud_pool_size{pool="access_write"}'] == 1
    assert found['pypicloud_pool_waiting{pool="access_read"}'] == 0
    assert found['pypicloud_pool_size{pool="access_hashes"}'] >= 1
    assert found["pypicloud_reindex_running"] == 0
    assert found["pypicloud_changes_age_seconds"] >= 0
    assert found["pypicloud_draining"] == 0


def test_labels_are_bounded_whatever_clients_send(place: Site) -> None:
    """Neither paths nor names nor methods nor agents make series."""
    place.publish("demo")
    for number in range(5):
        place.ask("GET", f"/simple/made-up-{number}/", headers={"User-Agent": f"odd/{number}"})
        place.ask("GET", f"/made-up-{number}")
        place.ask(f"ODD{number}", "/simple/demo/")
    found = read(place)
    assert "made-up" not in str(found)
    assert "odd" not in str(found).lower()


def promtool() -> str:
    """The program."""
    found = shutil.which("promtool", path=f"{os.environ.get('PATH', os.defpath)}:/usr/bin")
    assert found, "Tests need promtool (Debian: apt-get install prometheus)."
    return found


def test_metrics_are_valid_to_promtool(place: Site) -> None:
    """It finds nothing to complain of, neither in form nor in names."""
    place.publish("demo")
    place.ask("GET", "/simple/demo/")
    text = place.ask("GET", "/metrics", auth=ADMIN).content
    ran = subprocess.run(
        [promtool(), "check", "metrics"], input=text, capture_output=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b""), (ran.stdout, ran.stderr)


@pytest.mark.slow
def test_metrics_of_two_workers_are_those_of_the_replica(tmp_path: Path) -> None:
    """Every request is in them, whichever worker is asked; a log in JSON beside them."""
    asked = 40
    with (
        running(tmp_path, WORKERS="2", METRICS__ACCESS="open", LOG_FORMAT="json") as server,
        httpx.Client(
            trust_env=False, verify=False, timeout=60, headers={"Connection": "close"}
        ) as client,
    ):
        for _ in range(asked):  # a connection each, for either worker
            assert client.get(f"{server.url}/simple/").status_code == 200
        key = 'pypicloud_requests_total{door="simple_root",status="200"}'
        seen = 0.0
        for _ in range(200):
            found = numbers(client.get(f"{server.url}/metrics").text)
            assert found.get(key, 0) >= seen, "a count went back"
            seen = found.get(key, 0)
            if seen >= asked:
                break
            time.sleep(0.1)
        assert seen == asked
        assert found["pypicloud_workers"] == 2
        client.get(f"{server.url}/simple/", auth=("admin", "x"))
        assert re.search(r'^\{"time": .*"path": "/simple/"', server.log, re.MULTILINE)

"""Webhooks: what is sent, that it is signed, and that it comes at least once."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import NormalizedName
from pydantic import ValidationError

from app.hooks import bodies
from app.hooks.options import HookOptions, WebhookOptions
from app.models import Actor, Change
from tests.hooks.receiver import Receiver, receiving
from tests.routes.site import ADMIN, Site, site

SECRET = "sixteen or more of these"
NOW = datetime(2026, 11, 29, 10, 0, tzinfo=UTC)


def change(action: str = "publish", project: str | None = "demo", **more: Any) -> Change:
    """A change by alice."""
    name = None if project is None else NormalizedName(project)
    actor = Actor(kind="user", id="alice")
    return Change(action=action, time=NOW, actor=actor, project=name, **more)


def hook(**options: Any) -> HookOptions:
    """A hook with a place to go."""
    return HookOptions.of({"url": "https://chat.example.com/x", **options})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Somebody to tell."""
    with receiving() as found:
        yield found


def place(folder: Path, receiver: Receiver, **options: Any) -> AbstractContextManager[Site]:
    """A replica on files in ``folder`` that tells the receiver."""
    chosen = WebhookOptions.of({"url": receiver.url, "secret": SECRET, **options})
    return site(
        folder,
        storage=f"file:{folder}/packages",
        cache=f"sqlite+aiosqlite:///{folder}/cache.db",
        webhooks=chosen,
    )


def wait_until_begun(folder: Path) -> None:
    """The hook knows where it begins."""
    receiver = Receiver()
    receiver.until(lambda: any((folder / "packages").rglob("leases/webhook-*-told/*")))


def test_the_body_has_what_changed() -> None:
    """As JSON for machines; the signature is an HMAC over the very bytes."""
    sent = bodies.body(hook(), [change(serial=7, filename="demo-1.0.tar.gz", version="1.0")], NOW)
    assert json.loads(sent) == {
        "hook": "webhook",
        "sent": "2026-11-29T10:00:00.000000Z",
        "changes": [
            {
                "serial": 7,
                "action": "publish",
                "time": "2026-11-29T10:00:00.000000Z",
                "actor": "user:alice",
                "project": "demo",
                "version": "1.0",
                "filename": "demo-1.0.tar.gz",
            }
        ],
    }
    expected = hmac.new(SECRET.encode(), sent, hashlib.sha256).hexdigest()
    assert bodies.signature(SECRET, sent) == f"sha256={expected}"


def test_slack_gets_a_line_for_each_change() -> None:
    """Nothing that somebody named becomes a link or calls a channel."""
    changes = [change(filename="demo-1.0.tar.gz"), change("status")]
    odd = Change(
        action="publish",
        time=NOW,
        actor=Actor(kind="user", id="<!channel>"),
        project=NormalizedName("a"),
        filename="`<https://evil.example|x>`",
    )
    text = json.loads(bodies.body(hook(format="slack"), [*changes, odd], NOW))["text"]
    lines = text.split("\n")
    assert lines[0] == "*publish* `demo-1.0.tar.gz` by user:alice"
    assert lines[1] == "*status* `demo` by user:alice"
    assert "<" not in lines[2]
    assert lines[2].count("`") == 2


def test_a_hook_hears_of_what_it_wants() -> None:
    """Of projects alone, by action and pattern."""
    assert hook().wants(change())
    assert not hook().wants(change("user.disable", None))
    assert not hook(events=["yank"]).wants(change())
    assert hook(projects=["team-*"]).wants(change(project="team-a"))
    assert not hook(projects=["team-*"]).wants(change(project="steam-a"))


@pytest.mark.parametrize(
    "options",
    [
        {"url": "http://chat.example.com/x"},
        {"url": "ftp://chat.example.com/x"},
        {"url": "https://user:secret@chat.example.com/x"},
        {"url": "https://chat.example.com/x", "secret": "short"},
        {"url": "https://chat.example.com/x", "format": "xml"},
        {"url": "https://chat.example.com/x", "more": [{"url": "https://chat.example.com/y"}]},
        {"more": [{"name": "chat"}]},
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any]) -> None:
    """Plain http beyond loopback, credentials in a URL, weak keys, two of one name."""
    with pytest.raises(ValidationError) as refused:
        WebhookOptions.model_validate(options)
    assert "secret@" not in str(refused.value)


def test_changes_are_told_in_order_and_signed(
    tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Of what happens from the start on; a failing receiver is asked again, the URL never shown."""
    caplog.set_level(logging.DEBUG)
    with place(tmp_path, receiver, events=["publish", "yank"]) as site:
        wait_until_begun(tmp_path)
        made = site.publish("demo")
        receiver.until(lambda: len(receiver.changes) == 1)
        headers, body = receiver.came[0]
        assert headers["x-pypicloud-signature"] == bodies.signature(SECRET, body)
        assert headers["content-type"] == "application/json"
        assert receiver.changes[0]["filename"] == made.filename
        assert receiver.changes[0]["actor"] == "user:admin"
        for status in (500, 307):
            receiver.status, receiver.refused = status, 0
            path = f"/api/v1/projects/demo/files/{made.filename}"
            yanked = status == 500
            answer = site.ask("PATCH", path, auth=ADMIN, json={"yanked": yanked})
            assert answer.status_code < 300, answer.text
            if yanked:
                receiver.until(lambda: receiver.refused >= 2)
                receiver.status = 200
                receiver.until(lambda: len(receiver.changes) == 2)
        site.publish("other")
        receiver.until(lambda: receiver.refused >= 1)
        receiver.status = 200
        receiver.until(lambda: len(receiver.changes) >= 3)
        numbers = site.ask("GET", "/metrics", auth=ADMIN).text
    told = [(one["action"], one["project"]) for one in receiver.changes]
    assert told == [("publish", "demo"), ("yank", "demo"), ("publish", "other")]
    serials = [one["serial"] for one in receiver.changes]
    assert serials == sorted(serials)
    assert 'pypicloud_webhook_deliveries_total{hook="webhook",outcome="delivered"}' in numbers
    assert 'pypicloud_webhook_deliveries_total{hook="webhook",outcome="failed"}' in numbers
    shown = caplog.text + numbers
    assert "will be tried again" in shown
    assert "xyzzy" not in shown
    assert SECRET not in shown


def test_what_was_missed_is_told_after_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    """The receiver was down, then the service was: nothing is lost, nothing new is told twice."""
    with place(tmp_path, receiver) as site:
        wait_until_begun(tmp_path)
        site.publish("first")
        receiver.until(lambda: "first" in _projects(receiver))
        receiver.status = 503
        site.publish("second")
        receiver.until(lambda: receiver.refused >= 1)
    receiver.status = 200
    with place(tmp_path, receiver) as site:
        receiver.until(lambda: "second" in _projects(receiver))
        site.publish("third")
        receiver.until(lambda: "third" in _projects(receiver))
    published = [one["project"] for one in receiver.changes if one["action"] == "publish"]
    assert published == ["first", "second", "third"]


def test_replicas_tell_of_everything(tmp_path: Path, receiver: Receiver) -> None:
    """Two on one storage: what either publishes is told, also once one of them is gone."""
    with place(tmp_path, receiver) as one:
        wait_until_begun(tmp_path)
        with place(tmp_path, receiver) as other:
            for number in range(4):
                (one, other)[number % 2].publish(f"shared-{number}")
            receiver.until(lambda: len(_projects(receiver)) == 4)
        one.publish("alone")
        receiver.until(lambda: "alone" in _projects(receiver))
    assert _projects(receiver) == {*(f"shared-{number}" for number in range(4)), "alone"}


def _projects(receiver: Receiver) -> set[str]:
    return {one["project"] for one in receiver.changes if one["action"] == "publish"}

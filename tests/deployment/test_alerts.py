"""Each of the alerts in ``deploy/`` fires when it should, and else not."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.deployment.tools import DEPLOY, debian

# What a replica called "a" says when each alert has to fire; "b" is sound.
GOING_WRONG: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "PyPICloudDown": ({"job": "pypicloud"}, {'up{job="pypicloud",instance="a"}': "0x30"}),
    "PyPICloudFailing": (
        {},
        {
            'pypicloud_requests_total{instance="a",status="200"}': "0+100x30",
            'pypicloud_requests_total{instance="a",status="500"}': "0+5x30",
        },
    ),
    "PyPICloudSlow": (
        {},
        {
            'pypicloud_request_seconds_bucket{instance="a",door="simple",le="1.0"}': "0+1x30",
            'pypicloud_request_seconds_bucket{instance="a",door="simple",le="2.5"}': "0+50x30",
            'pypicloud_request_seconds_bucket{instance="a",door="simple",le="+Inf"}': "0+50x30",
        },
    ),
    "PyPICloudStorageErrors": (
        {"room": "storage"},
        {
            'pypicloud_calls_total{instance="a",room="storage",outcome="error"}': "0+9x30",
        },
    ),
    "PyPICloudBehind": ({}, {'pypicloud_changes_age_seconds{instance="a"}': "60x30"}),
    "PyPICloudUpstreamLeftAlone": (
        {"upstream": "main"},
        {'pypicloud_upstream_left_alone{instance="a",upstream="main"}': "1x30"},
    ),
    "PyPICloudUpstreamWrong": (
        {"upstream": "main", "outcome": "wrong"},
        {
            'pypicloud_upstream_files_total{instance="a",upstream="main",outcome="wrong"}': (
                "0x10 1x20"
            ),
        },
    ),
    "PyPICloudWebhookFails": (
        {"hook": "chat", "outcome": "failed"},
        {
            # As seldom as it is tried again after a while: every five minutes.
            'pypicloud_webhook_deliveries_total{instance="a",hook="chat",outcome="failed"}': (
                " ".join(f"{count}x4" for count in range(12))
            ),
        },
    ),
    "PyPICloudInspectorsBusy": (
        {"pool": "inspectors"},
        {'pypicloud_pool_waiting{instance="a",pool="inspectors"}': "20x30"},
    ),
    "PyPICloudReindexBroken": ({}, {'pypicloud_reindex_broken{instance="a"}': "1x30"}),
    "PyPICloudMemory": (
        {},
        {
            'pypicloud_memory_bytes{instance="a"}': "4e9x30",
            'pypicloud_workers{instance="a"}': "2x30",
        },
    ),
}
SOUND = {
    'up{job="pypicloud",instance="b"}': "1x60",
    'pypicloud_requests_total{instance="b",status="200"}': "0+100x60",
    'pypicloud_requests_total{instance="b",status="500"}': "0x60",
    'pypicloud_request_seconds_bucket{instance="b",door="simple",le="1.0"}': "0+50x60",
    'pypicloud_request_seconds_bucket{instance="b",door="simple",le="+Inf"}': "0+50x60",
    'pypicloud_calls_total{instance="b",room="storage",call="get",outcome="error"}': "0x60",
    'pypicloud_changes_age_seconds{instance="b"}': "0.4x60",
    'pypicloud_upstream_left_alone{instance="b",upstream="main"}': "0x60",
    'pypicloud_upstream_files_total{instance="b",upstream="main",outcome="wrong"}': "3x60",
    'pypicloud_webhook_deliveries_total{instance="b",hook="chat",outcome="failed"}': "2x60",
    'pypicloud_pool_waiting{instance="b",pool="inspectors"}': "0x60",
    'pypicloud_reindex_broken{instance="b"}': "0x60",
    'pypicloud_memory_bytes{instance="b"}': "4e8x60",
    'pypicloud_workers{instance="b"}': "2x60",
}


def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    """Each tells of a replica that is in its trouble, and of no sound one."""
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    rules = {one["alert"]: one for one in groups[0]["rules"]}
    assert rules.keys() == GOING_WRONG.keys()
    tests = []
    for alert, (labels, series) in GOING_WRONG.items():
        labels = {"instance": "a", **labels}
        rule = rules[alert]
        told = json.dumps(rule["annotations"])
        for name, value in labels.items():
            told = told.replace(f"{{{{ $labels.{name} }}}}", value)
        fired = {
            "exp_labels": {**labels, **rule["labels"]},
            "exp_annotations": json.loads(told),
        }
        shown = [{"series": one, "values": of} for one, of in {**series, **SOUND}.items()]
        at = "50m" if rule.get("for") == "30m" else "20m"
        asked = {"eval_time": at, "alertname": alert, "exp_alerts": [fired]}
        tests.append({"interval": "1m", "input_series": shown, "alert_rule_test": [asked]})
    document = {"rule_files": [str(DEPLOY / "alerts.yml")], "tests": tests}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(document))
    debian("promtool", "prometheus", "test", "rules", tmp_path / "test.yml")

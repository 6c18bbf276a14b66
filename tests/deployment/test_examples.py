"""What ``deploy/`` has is valid to the programs that read it, and says what ours does."""

from __future__ import annotations

import configparser
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from app import config
from app.metrics.families import FAMILIES
from tests.deployment.tools import DEPLOY, debian, installed, said
from tests.servers.running import INSTALLED, ROOT, Running, launch, own

CHART = DEPLOY / "helm" / "pypicloud"
VARIABLES = {config.CONFIG, *(config.variable(*field) for field in config.fields())}
SAMPLES = {
    f"pypicloud_{name}{suffix}"
    for name, family in FAMILIES.items()
    for suffix in {
        "counter": ("_total",),
        "gauge": ("",),
        "histogram": ("_bucket", "_count", "_sum"),
    }[family.kind]
}


@pytest.mark.parametrize("file", ["docker-compose.yml", "deploy/compose/small.yml"])
def test_compose_reads_its_files(file: str) -> None:
    """Docker's own reader has no objection, and every setting is one of ours."""
    text = installed("docker-compose", "-f", ROOT / file, "config")
    services = yaml.safe_load(text)["services"]
    used = services["pypicloud"]["environment"].keys()
    assert {name for name in used if name.startswith("PYPICLOUD_")} <= VARIABLES
    assert services["pypicloud"]["read_only"]
    for service in services.values():
        assert service["cap_drop"] == ["ALL"]
        assert "privileged" not in service
        for port in service.get("ports", ()):
            assert port["host_ip"] == "127.0.0.1"


def test_hadolint_has_no_objection() -> None:
    """To the Dockerfile; and it has the limits that the manual promises."""
    assert installed("hadolint", DEPLOY / "Dockerfile") == ""
    text = (DEPLOY / "Dockerfile").read_text()
    assert len(re.findall("^FROM ", text, re.MULTILINE)) == 2
    assert "USER 10001:10001" in text
    assert "HEALTHCHECK" in text
    named = set(re.findall(r"\bPYPICLOUD_[A-Z_]+(?==)", text))
    assert named <= VARIABLES


def test_the_unit_of_systemd_is_a_unit() -> None:
    """With the keys that systemd knows in each section, and time enough to end."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # keys are as they are
    unit.read(DEPLOY / "pypicloud.service")
    assert unit.sections() == ["Unit", "Service", "Install"]
    service = unit["Service"]
    assert service["ExecStart"].endswith("bin/pypicloud serve")
    assert service["KillSignal"] == "SIGTERM"
    assert int(service["TimeoutStopSec"]) > 30
    assert service["RestartPreventExitStatus"].split() == ["2", "3"]


def test_caddy_and_haproxy_take_their_examples(tmp_path: Path) -> None:
    """By their own checks; Docker's names are resolved when it runs."""
    file = DEPLOY / "Caddyfile"
    told = installed("caddy", "validate", "--adapter", "caddyfile", "--config", file)
    assert "Valid configuration" in told
    installed("caddy", "fmt", "--diff", file)
    debian("haproxy", "haproxy", "-c", "-f", DEPLOY / "compose" / "haproxy.cfg")


@pytest.fixture
def traefik(tmp_path: Path) -> Iterator[Running]:
    """Traefik with our example as its file."""

    def command(ports: Any) -> list[str | Path]:
        return [
            INSTALLED / "bin" / "traefik",
            f"--providers.file.filename={DEPLOY / 'traefik.yml'}",
            f"--entryPoints.websecure.address=127.0.0.1:{ports['https']}",
            f"--entryPoints.traefik.address=127.0.0.1:{ports['api']}",
            "--api.insecure=true",
            "--certificatesresolvers.letsencrypt.acme.storage=acme.json",
            "--certificatesresolvers.letsencrypt.acme.caServer=http://127.0.0.1:9/",
            "--certificatesresolvers.letsencrypt.acme.tlsChallenge=true",
            "--global.checkNewVersion=false",
            "--global.sendAnonymousUsage=false",
        ]

    def ready(ports: Any) -> bool:
        try:
            url = f"http://127.0.0.1:{ports['api']}/api/http/routers"
            return "pypi@file" in httpx.get(url, trust_env=False).text
        except httpx.TransportError as error:
            raise ConnectionError from error

    with own(lambda folder: launch(folder, ["https", "api"], command, ready), tmp_path) as found:
        yield found


def test_traefik_takes_its_example(traefik: Running) -> None:
    """Router, service and middleware are there, none with an error."""
    api = f"http://127.0.0.1:{traefik.ports['api']}/api/http"
    for kind in ("routers", "services", "middlewares"):
        found = httpx.get(f"{api}/{kind}", trust_env=False).json()
        ours = [one for one in found if one["provider"] == "file"]
        assert len(ours) == 1
        assert ours[0]["status"] == "enabled", ours
        assert "error" not in ours[0]


def test_prometheus_takes_rules_and_configuration(tmp_path: Path) -> None:
    """By promtool; the rules ask for what there is."""
    rules = DEPLOY / "alerts.yml"
    debian("promtool", "prometheus", "check", "rules", rules)
    (tmp_path / "alerts.yml").write_text(rules.read_text())
    (tmp_path / "token").write_text("x")
    text = (DEPLOY / "prometheus.yml").read_text()
    text = text.replace("/etc/prometheus/pypicloud.token", str(tmp_path / "token"))
    (tmp_path / "prometheus.yml").write_text(text)
    debian("promtool", "prometheus", "check", "config", tmp_path / "prometheus.yml")
    for rule in yaml.safe_load(rules.read_text())["groups"][0]["rules"]:
        for name in re.findall(r"\bpypicloud_\w+", rule["expr"]):
            assert name in SAMPLES, name


def test_the_dashboard_asks_for_what_there_is(tmp_path: Path) -> None:
    """Every expression is PromQL, over numbers that the service has."""
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    rules: list[dict[str, Any]] = []
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", "5m")
            assert set(re.findall(r"\bpypicloud_\w+", text)) <= SAMPLES, text
            rules.append({"record": "some:thing", "labels": {"n": str(len(rules))}, "expr": text})
    assert len(dashboard["panels"]) > 10
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "x", "rules": rules}]}))
    debian("promtool", "prometheus", "check", "rules", tmp_path / "rules.yml")


SCRIPT = """
import json, sys
from helm_python.chart import Chart, lint
found = lint(sys.argv[1])
with Chart.load(sys.argv[1]) as chart:
    values = json.loads(sys.argv[2])
    print(json.dumps({"lint": found, "made": chart.render(values=values, name="index")}))
"""
WARNING = 2
"""Helm's number for more than a hint."""
EVERYTHING = {
    "ingress": {"enabled": True, "className": "nginx", "annotations": {"a/b": "c"}},
    "autoscaling": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "metrics": {"podMonitor": {"enabled": True}},
    "image": {"pullSecrets": [{"name": "x"}]},
    "serviceAccount": {"annotations": {"role": "arn"}},
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "x", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_the_chart_makes_what_kubernetes_takes(tmp_path: Path, values: dict[str, Any]) -> None:
    """Helm finds nothing wrong; every object is one of Kubernetes' by its schema."""
    python = INSTALLED / "bin" / "python"
    told = json.loads(said(python, "-c", SCRIPT, CHART, json.dumps(values)).splitlines()[-1])
    assert told["lint"]["errors"] == []
    assert all(one["severity"] < WARNING for one in told["lint"]["messages"]), told["lint"]
    objects = [one for text in told["made"].values() for one in yaml.safe_load_all(text) if one]
    kinds = [one["kind"] for one in objects]
    assert {"Deployment", "Service", "ServiceAccount", "PodDisruptionBudget"} <= set(kinds)
    if values:
        assert {"Ingress", "HorizontalPodAutoscaler", "NetworkPolicy", "PodMonitor"} <= set(kinds)
    known = [one for one in objects if one["kind"] != "PodMonitor"]
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(known))
    installed("kubernetes-validate", "--strict", tmp_path / "all.yaml")
    (deployment,) = (one for one in objects if one["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {one["name"] for one in container["env"]} <= VARIABLES
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["terminationGracePeriodSeconds"] == 50
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"


def test_policies_are_the_rights_that_the_manual_names() -> None:
    """Of S3 and DynamoDB, on the bucket and the tables and nothing else; the others are JSON."""
    manual = " ".join((ROOT / "docs" / "storage.md").read_text().split())
    passage = manual.partition("**What they may do:**")[2].partition("; with SSE-KMS")[0]
    statements = json.loads((DEPLOY / "iam" / "s3.json").read_text())["Statement"]
    actions = {action for one in statements for action in one["Action"]}
    assert actions == set(re.findall(r"s3:\w+", passage))
    assert all("*" not in one["Resource"].removesuffix("/*") for one in statements)
    manual = (ROOT / "docs" / "access-backends.md").read_text()
    passage = manual.partition("The credentials need `dynamodb:")[2].partition("on the table")[0]
    named = {f"dynamodb:{name}" for name in re.findall(r"\b[A-Z]\w+", passage)}
    (tables,) = json.loads((DEPLOY / "iam" / "dynamodb.json").read_text())["Statement"]
    assert set(tables["Action"]) == named
    for name in ("gcs", "azure"):
        assert json.loads((DEPLOY / "iam" / f"{name}.json").read_text())

"""Settings: where they come from, what is refused, and that all are documented."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import timedelta
from functools import reduce
from ipaddress import ip_network
from pathlib import Path

import pytest

from app import config, errors
from app.config import Settings

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / ".env.example"
MANUAL = ROOT / "docs" / "configuration.md"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without .env, and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(config.PREFIX)]:
        monkeypatch.delenv(name)
    return tmp_path


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    """The settings of these variables."""
    for field, value in variables.items():
        monkeypatch.setenv(config.variable(field), value)
    return config.load()


def test_the_defaults_hold_where_nothing_is_set() -> None:
    """An empty environment gives the defaults."""
    assert config.load() == Settings()


def test_env_file_then_toml_follow_the_environment(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable wins over .env, .env over the TOML file, the file over the default."""
    (elsewhere / "index.toml").write_text('port = 1\nworkers = 2\ndefault_read = ["everyone"]\n')
    (elsewhere / ".env").write_text(
        "PYPICLOUD_CONFIG=index.toml\nPYPICLOUD_PORT=3\nPYPICLOUD_INSPECTORS=4\nOTHER=x\n"
    )
    settings = load(monkeypatch, inspectors="5")
    assert (settings.workers, settings.port, settings.inspectors) == (2, 3, 5)
    assert settings.default_read == {"everyone"}


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("default_read", "everyone", {"everyone"}),
        ("default_write", "user:Alice, group:Devs  authenticated", None),
        ("default_read", "none", set()),
        ("max_file_size", "5 GiB", 5 * 2**30),
        ("max_file_size", "1.5MB", 1_500_000),
        ("max_file_size", "1024", 1024),
        ("url_expires", "90", timedelta(seconds=90)),
        ("delete_grace", "2 d", timedelta(days=2)),
        ("reconcile_interval", "500ms", timedelta(seconds=0.5)),
        ("reindex_interval", "6 h", timedelta(hours=6)),
        ("reindex_interval", "Off", "never"),
        ("trusted_proxies", "10.0.0.0/8, ::1", (ip_network("10.0.0.0/8"), ip_network("::1/128"))),
        ("allowed_hosts", "PYPI.example *.inner.example", {"pypi.example", "*.inner.example"}),
        ("root_path", "/packages/", "/packages"),
        ("public_url", "https://pypi.example:8443/x/", "https://pypi.example:8443/x"),
        ("public_url", "https://PyPI.Example:443/X", "https://pypi.example/X"),
        ("public_url", "http://pypi.example:443", "http://pypi.example:443"),
        ("docs", "off", False),
        ("downloads", "off", False),
        ("port", "", 8000),
        ("port", "tcp://10.0.0.1:80", 8000),
        ("spool", "/var/spool/pypicloud", Path("/var/spool/pypicloud")),
    ],
)
def test_a_value_in_its_spellings(
    monkeypatch: pytest.MonkeyPatch, field: str, text: str, value: object
) -> None:
    """People write sizes, durations, lists and URLs as they do."""
    if value is None:
        value = {"user:alice", "group:devs", "authenticated"}
    if value == "never":
        value = None
    assert getattr(load(monkeypatch, **{field: text}), field) == value


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("default_read", "bob"),
        ("default_write", "user:"),
        ("max_file_size", "big"),
        ("max_file_size", "0"),
        ("url_expires", "-5"),
        ("url_expires", "9 s"),
        ("url_expires", "8 d"),
        ("url_expires", "soon"),
        ("reindex_interval", "0"),
        ("reindex_interval", "never"),
        ("trusted_proxies", "10.0.0.1/8"),
        ("trusted_proxies", "proxy.example"),
        ("trusted_proxy_hops", "0"),
        ("allowed_hosts", "https://pypi.example"),
        ("root_path", "packages"),
        ("root_path", "/a/../b"),
        ("public_url", "pypi.example"),
        ("public_url", "https://user:secret@pypi.example"),
        ("public_url", "https://pypi.example/?q"),
        ("upload_profile", "loose"),
        ("password_min_length", "7"),
        ("access", "[1]"),
        ("access", "[]"),
        ("access", '["config:x"'),
        ("grants", "maybe"),
        ("signup_key", "replaceme"),
        ("signup_expires", "30 s"),
        ("port", "65536"),
        ("port", "http"),
        ("workers", "0"),
        ("docs", "perhaps"),
        ("delivery", "pigeon"),
        ("s3__attempts", "0"),
        ("s3__connect_timeout", "soon"),
        ("cloudfront__policy", "loose"),
        ("log_level", "loud"),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, field: str, text: str
) -> None:
    """The line names the variable; it does not repeat the value, which may be a secret."""
    with pytest.raises(errors.Misconfigured) as raised:
        load(monkeypatch, **{field: text})
    line = str(raised.value)
    assert line.startswith(config.variable(field))
    assert "\n" not in line
    assert "secret" not in line


def test_a_variable_that_is_no_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip of the pen stops the start, and says what was perhaps meant."""
    with pytest.raises(errors.Misconfigured, match="PROT is no setting; did you mean PYPICLOUD_P"):
        load(monkeypatch, prot="1")


def test_a_variable_of_a_group_that_is_no_setting_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a group of ours nothing is passed over, however far from a setting it is."""
    with pytest.raises(errors.Misconfigured, match="PYPICLOUD_S3__COLOUR_OF_BUCKET is no setting"):
        load(monkeypatch, s3__colour_of_bucket="blue")


def test_a_group_stands_in_the_environment_and_in_a_file(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group's settings come one by one, from wherever they are set; the URL chooses the group."""
    (elsewhere / "index.toml").write_text('[s3]\nregion = "eu-west-1"\nattempts = 5\n')
    settings = load(monkeypatch, config="index.toml", storage="s3://bucket", s3__attempts="2")
    assert (settings.s3.region, settings.s3.attempts) == ("eu-west-1", 2)
    assert settings.storage_options["region"] == "eu-west-1"
    assert load(monkeypatch, storage="gs://bucket").storage_options == settings.gcs.model_dump()


def test_a_variable_of_another_version_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is far from every setting is ignored, with a warning that names it."""
    load(monkeypatch, no_such_thing_at_all="1")
    assert "PYPICLOUD_NO_SUCH_THING_AT_ALL is no setting" in caplog.text


def test_a_slip_in_a_file_is_refused(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same holds for .env and TOML; other programs' lines in .env are left alone."""
    (elsewhere / "index.toml").write_text("prot = 1\n")
    with pytest.raises(errors.Misconfigured, match="'prot' in the file"):
        load(monkeypatch, config="index.toml")
    (elsewhere / ".env").write_text("POSTGRES_PASSWORD=x\nPYPICLOUD_PROT=1\n")
    with pytest.raises(errors.Misconfigured, match="PYPICLOUD_PROT is no setting"):
        config.load()


@pytest.mark.parametrize("content", [None, "port = ", "\xff"])
def test_a_file_that_cannot_be_read_is_refused(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    """Missing or not TOML: one line says so."""
    if content is not None:
        (elsewhere / "index.toml").write_bytes(content.encode("latin-1"))
    with pytest.raises(errors.Misconfigured, match="PYPICLOUD_CONFIG"):
        load(monkeypatch, config="index.toml")


def test_variables_of_kubernetes_services_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service named pypicloud puts such variables beside every pod."""
    links = {"service_host": "10.0.0.1", "service_port": "80", "port_80_tcp_addr": "10.0.0.1"}
    assert load(monkeypatch, **links, port="tcp://10.0.0.1:80") == Settings()


def test_workers_must_share_what_they_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory belongs to one process."""
    with pytest.raises(errors.Misconfigured, match="PYPICLOUD_WORKERS"):
        load(monkeypatch, workers="2", cache="memory:")


@pytest.mark.parametrize("storage", ["s3://packages", "cloudfront://packages"])
def test_workers_must_not_race_to_create(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store without create-only writes is for one process."""
    alone = {"storage": storage, "s3__create_only": "false"}
    assert not load(monkeypatch, **alone, workers="1").s3.create_only
    with pytest.raises(errors.Misconfigured, match="PYPICLOUD_WORKERS above 1 needs a store with"):
        load(monkeypatch, workers="2")
    replicas = {"workers": "1", "limits__replicas": "2"}
    with pytest.raises(errors.Misconfigured, match="LIMITS__REPLICAS above 1 needs a store with"):
        load(monkeypatch, **replicas)
    assert load(monkeypatch, s3__create_only="true").limits.replicas == 2


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a password nor a URL with one stands in what is printed of the settings."""
    settings = load(monkeypatch, admin_password="hunter22", cache="postgresql://u:hunter22@db/x")
    assert "hunter22" not in repr(settings) + str(settings)


def documented() -> dict[str, str]:
    """The variables of .env.example with their values."""
    lines = EXAMPLE.read_text().splitlines()
    found = (re.fullmatch(r"#\s?(PYPICLOUD_[A-Z0-9_]+)=(.*)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def test_every_setting_stands_in_the_example_and_nothing_else() -> None:
    """.env.example lists them all, and no setting that there is not."""
    expected = {config.variable(*field) for field in config.fields()} | {config.CONFIG}
    assert documented().keys() == expected


def test_the_values_of_the_example_are_the_defaults(
    elsewhere: Path,
) -> None:
    """Used as it is, every line taken in, the example changes nothing."""
    values = {name: value for name, value in documented().items() if value}
    (elsewhere / ".env").write_text("".join(f"{k}={v}\n" for k, v in values.items()))
    assert config.load() == Settings()
    for field in config.fields():
        if config.variable(*field) not in values:
            assert not reduce(getattr, field, Settings())


def test_every_line_of_the_example_is_explained() -> None:
    """A comment stands above each variable."""
    lines = EXAMPLE.read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"#\s?PYPICLOUD_", line):
            assert re.match(r"# \w", lines[number - 1]), line
            assert not re.match(r"#\s?PYPICLOUD_", lines[number - 1]), line


def test_every_setting_stands_in_the_manual() -> None:
    """docs/configuration.md names each."""
    manual = MANUAL.read_text()
    missing = [name for name in documented() if f"`{name}`" not in manual]
    assert missing == []


def test_uvicorn_alone_ends_with_the_same_line(elsewhere: Path) -> None:
    """Without our command too, a bad setting is a line and not a traceback."""
    ran = subprocess.run(
        [sys.executable, "-m", "uvicorn", "--factory", "app.main:create_app", "--port", "0"],
        env={**os.environ, "PYPICLOUD_WORKERS": "none", "PYTHONPATH": str(ROOT)},
        cwd=elsewhere,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    assert "pypicloud: PYPICLOUD_WORKERS" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("config:users.toml", ["config:users.toml"]),
        ("config:a.toml, sqlite+aiosqlite:///x,y", ["config:a.toml", "sqlite+aiosqlite:///x,y"]),
        (
            "ldap://h/ou=a,dc=b?x,postgresql://u:p,w@h1:1,h2:2/db",
            ["ldap://h/ou=a,dc=b?x", "postgresql://u:p,w@h1:1,h2:2/db"],
        ),
        ('["config:a,b:c", "dynamodb://r/p"]', ["config:a,b:c", "dynamodb://r/p"]),
    ],
)
def test_several_backends_of_access(
    monkeypatch: pytest.MonkeyPatch, text: str, urls: list[str]
) -> None:
    """A comma before a scheme parts two URLs, any other is part of one; JSON leaves no doubt."""
    assert list(load(monkeypatch, access=text).access_urls) == urls


def test_several_backends_of_access_in_a_file(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In TOML they are a list."""
    (elsewhere / "index.toml").write_text('access = ["config:a,b:c", "sqlite+aiosqlite:///x"]\n')
    monkeypatch.setenv("PYPICLOUD_CONFIG", "index.toml")
    assert config.load().access_urls == ("config:a,b:c", "sqlite+aiosqlite:///x")

"""Settings: four sources in order, every mistake named with its origin."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorfaas import config
from actorfaas.config import Settings, load
from actorfaas.errors import ConfigError

NO_ENVIRONMENT: dict[str, str] = {}


def test_every_source_overrides_the_one_after(tmp_path: Path) -> None:
    (tmp_path / "actorfaas.toml").write_text('port = 1\nmax_workers = 1\nhost = "file"\n')
    environment = {"ACTORFAAS_PORT": "2", "ACTORFAAS_MAX_WORKERS": "2"}
    settings = load({"port": 3, "host": None}, environment, tmp_path)
    assert (settings.port, settings.max_workers, settings.host) == (3, 2, "file")
    assert settings.look_ahead == Settings().look_ahead


@pytest.mark.parametrize(
    ("environment", "endpoint", "headers"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/traces", ""),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://t/x",
                "OTEL_EXPORTER_OTLP_HEADERS": "a=b",
            },
            *("https://t/x", "a=b"),
        ),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a=b", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "c=d"}, "", "c=d"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "ACTORFAAS_OTLP_ENDPOINT": "http://own"}, "http://own", ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "ACTORFAAS_OTLP_ENDPOINT": ""}, "", ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "", ""),
    ],
)
def test_the_variables_of_opentelemetry_say_where_spans_go_unless_a_setting_does(
    tmp_path: Path, environment: dict[str, str], endpoint: str, headers: str
) -> None:
    settings = load(environment=environment, folder=tmp_path)
    assert (settings.otlp_endpoint, settings.otlp_headers) == (endpoint, headers)
    assert load(environment=settings.to_environment() | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://d"}) == settings


def test_the_projects_file_counts_unless_there_is_an_own_one(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n[tool.actorfaas]\nport = 7\n")
    assert load(environment=NO_ENVIRONMENT, folder=tmp_path).port == 7
    (tmp_path / "actorfaas.toml").write_text("look_ahead = 1\n")
    settings = load(environment=NO_ENVIRONMENT, folder=tmp_path)
    assert (settings.port, settings.look_ahead) == (Settings().port, 1)


def test_a_folder_without_files_gives_the_defaults(tmp_path: Path) -> None:
    assert load(environment=NO_ENVIRONMENT, folder=tmp_path) == Settings()
    assert load(environment=NO_ENVIRONMENT, folder=Path(os.devnull)) == Settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("port = 'eighty'", r"actorfaas\.toml: port must be a whole number, not 'eighty'"),
        ("port = true", r"port must be a whole number, not True"),
        ("dev = 1", r"dev must be true or false, not 1"),
        ("prot = 80", r"actorfaas\.toml: unknown setting 'prot'; known: .*port"),
        ("port = ", r"actorfaas\.toml: "),
        ("port = 70000", r"port must be between 0 and 65535"),
        ("max_workers = -1", r"max_workers must be a number from 0 up, not -1"),
        ("ask_timeout_s = -0.5", r"ask_timeout_s must be a number from 0 up"),
        ("ask_timeout_s = nan", r"ask_timeout_s must be a number from 0 up, not nan"),
        ("max_workers = 0", r"max_workers must be above 0"),
        ("log_level = 'loud'", r"log_level must be one of debug, info, warning, error, not 'loud'"),
        ("otlp_endpoint = 'collector:4318'", r"otlp_endpoint must be the URL of a collector, not 'collector:4318'"),
        ("sqlite_synchronous = 'off'", r"sqlite_synchronous must be one of full, normal"),
    ],
)
def test_mistakes_in_a_file_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "actorfaas.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load(environment=NO_ENVIRONMENT, folder=tmp_path)


def test_mistakes_name_their_origin(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^environment: max_workers must be a whole number, not 'many'"):
        load(environment={"ACTORFAAS_MAX_WORKERS": "many"}, folder=tmp_path)
    with pytest.raises(ConfigError, match=r"^flag: unknown setting 'colour'"):
        load({"colour": "red"}, NO_ENVIRONMENT, tmp_path)


def test_other_variables_with_our_prefix_are_not_settings(tmp_path: Path) -> None:
    assert load(environment={"ACTORFAAS_URL": "http://x", "ACTORFAAS_HTTP_FD": "3"}, folder=tmp_path) == Settings()


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("Yes", True), ("no", False), ("0", False), ("FALSE", False)]
)
def test_truth_in_the_environment(tmp_path: Path, text: str, value: bool) -> None:
    assert load(environment={"ACTORFAAS_DEV": text}, folder=tmp_path).dev is value


@pytest.mark.parametrize("size", [0, config.MAX_DATA_BYTES + 1])
def test_data_is_limited_to_what_messages_can_carry(size: int) -> None:
    assert load({"max_data_bytes": 1}, NO_ENVIRONMENT).max_data_bytes == 1
    with pytest.raises(ConfigError, match="max_data_bytes must be"):
        load({"max_data_bytes": size}, NO_ENVIRONMENT)


def test_paths_are_absolute_and_know_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.chdir(tmp_path)
    settings = load({"data_dir": "~/faas", "run_dir": "run"}, NO_ENVIRONMENT, tmp_path)
    assert (settings.data_dir, settings.run_dir) == (Path("/home/ada/faas"), tmp_path / "run")


def test_sockets_are_in_the_run_folder() -> None:
    settings = Settings(data_dir=Path("/data"))
    assert settings.socket_path("frontend") == Path("/data/run/frontend.sock")
    assert replace(settings, run_dir=Path("/run/x")).socket_path("frontend") == Path("/run/x/frontend.sock")


def test_every_setting_explains_itself() -> None:
    assert [field.name for field in fields(Settings) if not field.metadata.get("doc")] == []


TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), max_size=20)


@given(
    port=st.integers(0, 65535),
    timeout_s=st.floats(0, 1e9, exclude_min=True),
    dev=st.booleans(),
    token=TEXT,
    folder=TEXT.map(lambda name: Path("/") / name.replace("/", "")).filter(lambda path: "~" not in str(path)),
)
def test_a_child_process_reads_the_same_settings(
    port: int, timeout_s: float, dev: bool, token: str, folder: Path
) -> None:
    settings = Settings(port=port, default_timeout_s=timeout_s, dev=dev, api_token=token, data_dir=folder)
    assert load(environment=settings.to_environment(), folder=Path(os.devnull)) == settings


def test_every_default_survives_the_environment() -> None:
    given = {config.ENV_PREFIX + field.name.upper() for field in fields(Settings)}
    assert set(Settings().to_environment()) == given
    assert load(environment=Settings().to_environment(), folder=Path(os.devnull)) == Settings()

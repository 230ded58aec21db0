"""Settings of a node: flag > environment (`ACTORFAAS_*`) > `actorfaas.toml` or `[tool.actorfaas]` > default.

Every setting is a field of `Settings`; its metadata is the help text. Durations end in `_s`, sizes in `_bytes` or
`_mb`. Unknown keys and values of the wrong type are errors that name where they stand.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import get_type_hints

from actorfaas.errors import ConfigError

ENV_PREFIX = "ACTORFAAS_"

MAX_DATA_BYTES = 63 * 1024 * 1024
"""Largest `max_data_bytes`: results on their way to the DataLayer are in the header of a message
(`wire.MAX_HEADER_BYTES`), which says other things, too."""

type_names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}

Scalar = str | int | float | bool


def _default_data_dir() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/actorfaas")
    base = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return Path(base) / "actorfaas"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a node can be told. Immutable; `load` makes one."""

    data_dir: Path = field(
        default_factory=_default_data_dir, metadata={"doc": "where deployments, executions and logs are kept"}
    )
    run_dir: Path = field(
        default=Path(),
        metadata={"doc": "where the actors' sockets are (mode 0700); default: DATA_DIR/run"},
    )
    host: str = field(default="127.0.0.1", metadata={"doc": "address the HTTP server listens on"})
    port: int = field(default=8080, metadata={"doc": "port the HTTP server listens on; 0 picks a free one"})
    log_level: str = field(default="info", metadata={"doc": "debug, info, warning or error"})
    log_format: str = field(default="auto", metadata={"doc": "console, json, or auto (console on a terminal)"})
    dev: bool = field(default=False, metadata={"doc": "development: tracebacks in error responses"})
    api_token: str = field(default="", metadata={"doc": "bearer token every /v1 request must carry; empty: none"})
    allowed_hosts: str = field(
        default="", metadata={"doc": "host names that requests may be addressed to besides this machine's; * for any"}
    )
    max_body_bytes: int = field(default=16 * 1024 * 1024, metadata={"doc": "largest request body"})
    max_data_bytes: int = field(
        default=MAX_DATA_BYTES,
        metadata={
            "doc": "largest result or output of a state; beyond it the state fails with States.DataLimitExceeded"
        },
    )
    warn_data_bytes: int = field(
        default=256 * 1024,
        metadata={"doc": "an execution notes once that its data is larger than this (AWS allows no more); 0: never"},
    )
    max_bundle_bytes: int = field(default=256 * 1024 * 1024, metadata={"doc": "largest archive that can be deployed"})
    max_in_flight_bytes: int = field(
        default=256 * 1024 * 1024,
        metadata={"doc": "most bytes of bodies and results held for invocations; more are refused with 503"},
    )
    head_timeout_s: float = field(default=30.0, metadata={"doc": "most time for a request's line and headers"})
    body_timeout_s: float = field(default=60.0, metadata={"doc": "most time for a request's body"})
    upload_timeout_s: float = field(default=600.0, metadata={"doc": "most time for the upload of a bundle"})
    stall_timeout_s: float = field(
        default=60.0, metadata={"doc": "a client that takes nothing of its response for this long is cut off"}
    )
    max_in_flight: int = field(default=4096, metadata={"doc": "most HTTP invocations waiting for a result at once"})
    default_timeout_s: float = field(default=30.0, metadata={"doc": "time limit of functions that declare none"})
    ask_timeout_s: float = field(default=10.0, metadata={"doc": "how long one actor waits for another's answer"})
    deploy_timeout_s: float = field(default=120.0, metadata={"doc": "most time to import and initialise a bundle"})
    start_timeout_s: float = field(
        default=30.0, metadata={"doc": "time an actor has to start; a machine that is very slow needs more"}
    )
    stop_timeout_s: float = field(default=10.0, metadata={"doc": "time a stopping node gives calls under way"})
    mailbox_limit: int = field(default=65536, metadata={"doc": "messages an actor may have waiting"})
    max_workers: int = field(default=256, metadata={"doc": "most worker processes alive on this node"})
    look_ahead: int = field(
        default=2, metadata={"doc": "how many states ahead of a workflow's current one have workers reserved; 0: none"}
    )
    grow_after_ms: float = field(
        default=5.0, metadata={"doc": "a pool grows once a request has waited this long for a worker"}
    )
    objects_dir: Path = field(
        default=Path(),
        metadata={"doc": "the object store: folders are buckets, files in them objects; default: DATA_DIR/objects"},
    )
    item_dirs: str = field(
        default="", metadata={"doc": "folders, joined by :, below which Map states may read files by absolute path"}
    )
    objects_timeout_s: float = field(
        default=600.0, metadata={"doc": "most time to read a Map state's items, or to write a part of its results"}
    )
    sqlite_synchronous: str = field(
        default="full", metadata={"doc": "full survives power loss; normal survives any crash of software"}
    )
    commit_interval_ms: float = field(default=0.0, metadata={"doc": "most time to gather writes for one commit"})
    journal_delay_ms: float = field(
        default=5.0, metadata={"doc": "how long a running execution's history may wait to be written with what follows"}
    )
    spill_bytes: int = field(default=256 * 1024, metadata={"doc": "payloads above this are stored as files"})
    log_retention_lines: int = field(default=1_000_000, metadata={"doc": "function log lines kept"})
    log_limit_bytes: int = field(default=1024 * 1024, metadata={"doc": "output kept of one request; more is cut"})
    execution_retention: int = field(default=100_000, metadata={"doc": "ended executions kept"})
    bundle_retention: int = field(
        default=16,
        metadata={"doc": "extracted bundles, and environments, kept although no deployment in service uses them"},
    )
    idempotency_hours: float = field(default=24.0, metadata={"doc": "how long an Idempotency-Key is remembered"})
    metrics: bool = field(
        default=True, metadata={"doc": "count calls, latencies and billed time, for /metrics and the response headers"}
    )
    tracing: bool = field(default=True, metadata={"doc": "put every request into a trace, and keep those sampled"})
    trace_per_second: int = field(
        default=10, metadata={"doc": "of the plain calls that begin a trace, so many are kept in every second"}
    )
    trace_share: float = field(
        default=0.05, metadata={"doc": "share of the other plain calls that begin a trace which is kept, 0 to 1"}
    )
    trace_retention: int = field(default=100_000, metadata={"doc": "calls of traces kept"})
    trace_hours: float = field(default=24.0, metadata={"doc": "how long calls of traces are kept"})
    otlp_endpoint: str = field(
        default="",
        metadata={"doc": "an OTLP/HTTP collector (.../v1/traces) that is sent every span; empty: none"},
    )
    otlp_headers: str = field(
        default="", metadata={"doc": "headers for that collector: name=value,name=value, percent-encoded"}
    )
    paging: str = field(
        default="auto", metadata={"doc": "auto: idle workers leave memory where there is swap; off: they stay"}
    )
    paging_policy: str = field(
        default="predictive",
        metadata={
            "doc": "when idle workers leave memory: immediate, under pressure, or as calls are expected (predictive)"
        },
    )
    memory_budget_mb: int = field(
        default=0,
        metadata={"doc": "memory that all functions may use together; 0: half of what there is, if there is swap"},
    )
    swap_mb: int = field(default=0, metadata={"doc": "size of the swap file that the node makes as root; 0: none"})
    swap_path: Path = field(default=Path(), metadata={"doc": "where that swap file is; default: DATA_DIR/swapfile"})
    zram_mb: int = field(
        default=0, metadata={"doc": "compressed memory that the node uses as swap before the file; 0: none"}
    )
    cgroups: str = field(
        default="auto", metadata={"doc": "auto: a control group for each worker where possible; off: none"}
    )
    processes: str = field(
        default="data_layer swapper local_queue fw_supervisor execution_manager frontend",
        metadata={"doc": "which actors share a process: names joined by + share one, a blank separates processes"},
    )

    def socket_path(self, actor: str) -> Path:
        """The Unix socket on which an actor listens."""
        return self.run_path / f"{actor}.sock"

    @property
    def url(self) -> str:
        """Where a client on this machine reaches the node."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        if ":" in host and not host.startswith("["):
            host = f"[{host}]"
        return f"http://{host}:{self.port}"

    @property
    def run_path(self) -> Path:
        """The folder of the actors' sockets."""
        return self.run_dir if self.run_dir != Path() else self.data_dir / "run"

    @property
    def objects_path(self) -> Path:
        """The folder of the object store."""
        return self.objects_dir if self.objects_dir != Path() else self.data_dir / "objects"

    @property
    def item_folders(self) -> tuple[Path, ...]:
        """Folders below which Map states may read files by their absolute path."""
        return tuple(Path(name) for name in self.item_dirs.split(":") if name)

    @property
    def swapfile(self) -> Path:
        """Where the node's swap file is, if it makes one."""
        return self.swap_path if self.swap_path != Path() else self.data_dir / "swapfile"

    def to_environment(self) -> dict[str, str]:
        """The environment variables from which `load` makes these settings again (for child processes)."""
        return {ENV_PREFIX + f.name.upper(): _as_text(getattr(self, f.name)) for f in fields(self)}


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def load(
    flags: Mapping[str, Scalar | Path | None] | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """Settings from all four sources. `flags` that are None count as not given. Raises ConfigError."""
    environment = os.environ if environment is None else environment
    hints = get_type_hints(Settings)
    values: dict[str, object] = {}
    for origin, given in (
        ("OpenTelemetry's environment", _from_opentelemetry(environment)),
        _from_file(folder or Path.cwd()),
        ("environment", {k[len(ENV_PREFIX) :].lower(): v for k, v in environment.items() if _ours(k)}),
        ("flag", {k: v for k, v in (flags or {}).items() if v is not None}),
    ):
        for name, value in given.items():
            if name not in hints:
                if origin == "environment":
                    continue  # other ACTORFAAS_ variables (a client's URL, a token) are not node settings
                raise ConfigError(f"{origin}: unknown setting {name!r}; known: {', '.join(sorted(hints))}")
            values[name] = _convert(origin, name, value, hints[name])
    return _checked(replace(Settings(), **values))  # type: ignore[arg-type]  # each value was converted to its type


def _from_opentelemetry(environment: Mapping[str, str]) -> dict[str, str]:
    """What the variables of OpenTelemetry's exporters say about a collector of traces; nothing where they are for
    others: functions that send spans by gRPC."""
    protocols = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    if next(filter(None, map(environment.get, protocols)), "") == "grpc":
        return {}
    base = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").rstrip("/")
    endpoint = environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or (f"{base}/v1/traces" if base else "")
    names = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
    headers = next(filter(None, map(environment.get, names)), "")
    return {"otlp_endpoint": endpoint, "otlp_headers": headers}


def _ours(key: str) -> bool:
    return key.startswith(ENV_PREFIX)


def _from_file(folder: Path) -> tuple[str, Mapping[str, object]]:
    own = folder / "actorfaas.toml"
    project = folder / "pyproject.toml"
    try:
        if own.is_file():
            return str(own), tomllib.loads(own.read_text("utf-8"))
        if project.is_file():
            return str(project), tomllib.loads(project.read_text("utf-8")).get("tool", {}).get("actorfaas", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{own if own.is_file() else project}: {error}") from error
    return "file", {}


def _convert(origin: str, name: str, value: object, wanted: type) -> object:
    try:
        if wanted is bool and isinstance(value, str):
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[value.lower()]
        if wanted is bool and not isinstance(value, bool):
            raise ValueError(value)
        if isinstance(value, bool) and wanted is not bool:
            raise ValueError(value)
        if wanted is Path:
            return Path(str(value)).expanduser().absolute() if str(value) not in ("", ".") else Path()
        return wanted(value)
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{origin}: {name} must be {type_names[wanted]}, not {value!r}") from error


_CHOICES = {
    "log_level": ("debug", "info", "warning", "error"),
    "log_format": ("auto", "console", "json"),
    "sqlite_synchronous": ("full", "normal"),
    "paging": ("auto", "off"),
    "paging_policy": ("predictive", "pressure", "immediate"),
    "cgroups": ("auto", "off"),
}


_ABOVE_ZERO = frozenset(
    {
        "ask_timeout_s",
        "default_timeout_s",
        "deploy_timeout_s",
        "start_timeout_s",
        "mailbox_limit",
        "objects_timeout_s",
        "max_body_bytes",
        "max_bundle_bytes",
        "max_data_bytes",
        "max_in_flight",
        "max_workers",
    }
)


_AT_MOST = {"trace_share": 1, "max_data_bytes": MAX_DATA_BYTES}


def _checked(settings: Settings) -> Settings:
    for name, allowed in _CHOICES.items():
        if getattr(settings, name) not in allowed:
            raise ConfigError(f"{name} must be one of {', '.join(allowed)}, not {getattr(settings, name)!r}")
    if not 0 <= settings.port <= 65535:
        raise ConfigError(f"port must be between 0 and 65535, not {settings.port}")
    if settings.otlp_endpoint and not re.match(r"https?://[^/]", settings.otlp_endpoint):
        raise ConfigError(f"otlp_endpoint must be the URL of a collector, not {settings.otlp_endpoint!r}")
    for field_ in fields(settings):
        value = getattr(settings, field_.name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        if not 0 <= value < float("inf"):  # neither is what is not a number (nan)
            raise ConfigError(f"{field_.name} must be a number from 0 up, not {value}")
        if value > _AT_MOST.get(field_.name, value):
            raise ConfigError(f"{field_.name} must be at most {_AT_MOST[field_.name]}, not {value}")
        if value == 0 and field_.name in _ABOVE_ZERO:
            raise ConfigError(f"{field_.name} must be above 0: nothing could be served")
    return settings

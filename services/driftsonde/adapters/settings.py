"""Every environment variable of the services, in one place: read once at the edge into frozen values.

The name of a variable is DRIFTSONDE_<SECTION>_<FIELD>; `variables()` lists them all for the documents.
"""

import dataclasses
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_type_hints

PREFIX = "DRIFTSONDE_"

_T = TypeVar("_T", str, int, float, bool)


class InvalidSetting(ValueError):
    """A variable whose value can't be used; the message names it and says what is allowed."""


def _setting(
    default: _T,
    meaning: str,
    *,
    low: float | None = None,
    high: float | None = None,
    one_of: tuple[str, ...] = (),
    secret: bool = False,
) -> Any:
    metadata = {"meaning": meaning, "low": low, "high": high, "one_of": one_of, "secret": secret}
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach the brokers."""

    bootstrap_servers: str = _setting("127.0.0.1:9092", "Kafka brokers, host:port, separated by commas")
    security_protocol: str = _setting(
        "PLAINTEXT",
        "how to talk to the brokers",
        one_of=("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    )
    sasl_mechanism: str = _setting(
        "PLAIN", "how to log in, with a SASL protocol", one_of=("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
    )
    sasl_username: str = _setting("", "user name, with a SASL protocol")
    sasl_password: str = _setting("", "password, with a SASL protocol", secret=True)
    ssl_ca: str = _setting("", "file with the certificate authorities to trust; empty: the system's")
    group_instance_id: str = _setting(
        "",
        "a name that this instance keeps when it is restarted, and no other has: then it goes on at once with its "
        "partitions after a kill, and they wait for it after a stop; empty: none",
    )

    @property
    def uses_sasl(self) -> bool:
        return self.security_protocol.startswith("SASL")

    @property
    def uses_ssl(self) -> bool:
        return self.security_protocol.endswith("SSL")

    def librdkafka(self) -> dict[str, Any]:
        """The connection as configuration of librdkafka (confluent-kafka)."""
        config: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
        }
        if self.uses_sasl:
            config["sasl.mechanism"] = self.sasl_mechanism
            config["sasl.username"] = self.sasl_username
            config["sasl.password"] = self.sasl_password
        if self.uses_ssl and self.ssl_ca:
            config["ssl.ca.location"] = self.ssl_ca
        return config

    def aiokafka(self) -> dict[str, Any]:
        """The connection as keyword arguments of aiokafka's clients. Reads the file `ssl_ca`."""
        config: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers.split(","),
            "security_protocol": self.security_protocol,
        }
        if self.uses_sasl:
            config["sasl_mechanism"] = self.sasl_mechanism
            config["sasl_plain_username"] = self.sasl_username
            config["sasl_plain_password"] = self.sasl_password
        context = self.ssl_context()
        if context is not None:
            config["ssl_context"] = context
        return config

    def faust_brokers(self) -> list[str]:
        """The brokers as Faust's `broker` setting wants them; its credentials take what `aiokafka` gives."""
        return [f"kafka://{server.strip()}" for server in self.bootstrap_servers.split(",")]

    def ssl_context(self) -> ssl.SSLContext | None:
        """None without SSL. Raises `InvalidSetting` if the authorities can't be read."""
        if not self.uses_ssl:
            return None
        try:
            return ssl.create_default_context(cafile=self.ssl_ca or None)
        except OSError as error:
            raise InvalidSetting(f"{PREFIX}KAFKA_SSL_CA: can't read {self.ssl_ca!r}: {error}") from error


@dataclass(frozen=True, slots=True)
class ClickHouseSettings:
    """How to reach the store."""

    host: str = _setting("127.0.0.1", "ClickHouse host")
    port: int = _setting(8123, "ClickHouse HTTP port", low=1, high=65_535)
    user: str = _setting("default", "ClickHouse user")
    password: str = _setting("", "ClickHouse password", secret=True)
    database: str = _setting("driftsonde", "ClickHouse database; `driftsonde migrate` makes its tables")
    secure: bool = _setting(False, "talk HTTPS to ClickHouse")
    connect_timeout_s: int = _setting(5, "how long connecting to ClickHouse may take", low=1)
    send_receive_timeout_s: int = _setting(60, "how long ClickHouse may take to answer", low=1)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where a service answers /healthz, /readyz and /metrics (the controller: its API too)."""

    bind: str = _setting("127.0.0.1", "address the service listens on; 0.0.0.0 in a container")
    port: int = _setting(
        0, "port the service listens on; 0: any free one, told in the ready line", low=0, high=65_535
    )


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """The Schema Registry."""

    url: str = _setting("", "Confluent Schema Registry; empty: Avro single-object encoding, no registry")


@dataclass(frozen=True, slots=True)
class SketcherSettings:
    chunk_messages: int = _setting(
        64,
        "messages of a chunk, the unit of exactly-once; the same for the whole life of a topic",
        low=1,
        high=65_536,
    )
    flush_interval_ms: int = _setting(
        200, "how often changed sketches are published; less often where that takes long", low=10
    )
    idle_timeout_s: float = _setting(
        30.0, "a partition silent for longer no longer holds windows open", low=0
    )
    join_index_rows: int = _setting(1_000_000, "predictions kept in memory to be joined with labels", low=1)
    waiting_labels: int = _setting(
        500_000,
        "labels in memory that wait for their predictions or the store; beyond, they are left in the log for a while",
        low=1,
    )
    unmatched_labels: int = _setting(
        50_000,
        "labels of a partition, about 400 bytes each, that are kept for a prediction that is still to come",
        low=1,
    )
    future_tolerance_ms: int = _setting(300_000, "a timestamp further in the future is quarantined", low=0)
    progress_repeat_s: float = _setting(5.0, "how often a partition's progress is repeated", low=0.1)


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    windows_in_memory: int = _setting(
        10_000, "windows kept in memory; older ones are loaded when touched", low=1
    )
    settle_interval_ms: int = _setting(200, "how often windows are looked over for closing", low=10)


@dataclass(frozen=True, slots=True)
class ArchiverSettings:
    batch_mb: int = _setting(16, "megabytes of messages that make a batch", low=1)
    batch_interval_ms: int = _setting(1_000, "a batch is written after this long, full or not", low=1)
    buffer_mb: int = _setting(128, "megabytes of messages held in memory; beyond, reading pauses", low=1)
    retry_max_s: float = _setting(5.0, "the longest wait between attempts to write a batch", low=0.1)
    stop_timeout_s: float = _setting(20.0, "how long a stop waits for the last batches to be stored", low=0)


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    sweep_interval_s: float = _setting(5.0, "how often approvals are looked over for expiry", low=0.1)
    webhooks_file: str = _setting("", "TOML file with the webhook endpoints; empty: none")
    api_token: str = _setting("", "a token of the API with the role admin, for a start", secret=True)
    tokens_file: str = _setting(
        "",
        "TOML file with the API's tokens (`driftsonde token new`), read again when it changes; empty: none",
    )
    requests_per_s: float = _setting(20.0, "requests a second that one token may make of the API", low=0.1)


@dataclass(frozen=True, slots=True)
class LogSettings:
    level: str = _setting(
        "INFO", "least severe log level shown", one_of=("DEBUG", "INFO", "WARNING", "ERROR")
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it."""

    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    clickhouse: ClickHouseSettings = field(default_factory=ClickHouseSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    registry: RegistrySettings = field(default_factory=RegistrySettings)
    sketcher: SketcherSettings = field(default_factory=SketcherSettings)
    judge: JudgeSettings = field(default_factory=JudgeSettings)
    archiver: ArchiverSettings = field(default_factory=ArchiverSettings)
    controller: ControllerSettings = field(default_factory=ControllerSettings)
    log: LogSettings = field(default_factory=LogSettings)


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable; a secret's default is shown, its value never."""

    name: str
    section: str
    field: str
    type: type
    default: object
    meaning: str
    low: float | None
    high: float | None
    one_of: tuple[str, ...]
    secret: bool


def variables() -> tuple[Variable, ...]:
    """All variables, in the order of the sections."""
    return tuple(_variables())


def _variables() -> Iterator[Variable]:
    for section, kind in get_type_hints(Settings).items():
        types = get_type_hints(kind)
        for entry in dataclasses.fields(kind):
            name = f"{PREFIX}{section}_{entry.name}".upper()
            yield Variable(name, section, entry.name, types[entry.name], entry.default, **entry.metadata)


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings that `environ` holds; an absent or empty variable means the default.

    Raises `InvalidSetting` with one line for each variable at fault.
    """
    values: dict[str, dict[str, object]] = {name: {} for name in get_type_hints(Settings)}
    problems: list[str] = []
    for variable in variables():
        text = environ.get(variable.name, "")
        if not text:
            continue
        try:
            values[variable.section][variable.field] = _parse(variable, text)
        except ValueError as error:
            shown = "" if variable.secret else f", not {text!r}"
            problems.append(f"{variable.name}: expected {error}{shown}")
    if problems:
        raise InvalidSetting("\n".join(problems))
    sections = get_type_hints(Settings)
    return Settings(**{name: sections[name](**fields) for name, fields in values.items()})


def unknown_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Variables with our prefix that mean nothing to us: most likely typing errors, worth a warning."""
    known = {variable.name for variable in variables()}
    return tuple(sorted(name for name in environ if name.startswith(PREFIX) and name not in known))


def environment(settings: Settings) -> dict[str, str]:
    """The variables that make `read_settings` give `settings`: what a child process is started with."""
    return {
        variable.name: _text(getattr(getattr(settings, variable.section), variable.field))
        for variable in variables()
        if getattr(getattr(settings, variable.section), variable.field) != variable.default
    }


def settings_table() -> str:
    """The variables as a Markdown table, for the documents."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for variable in variables():
        allowed = f" ({', '.join(variable.one_of)})" if variable.one_of else ""
        default = f"`{_text(variable.default)}`" if variable.default != "" else ""
        lines.append(f"| `{variable.name}` | {default} | {variable.meaning}{allowed} |")
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parse(variable: Variable, text: str) -> object:
    if variable.type is bool:
        return _parse_bool(text)
    if variable.type is str:
        if variable.one_of and text not in variable.one_of:
            raise ValueError(f"one of {', '.join(variable.one_of)}")
        return text
    return _parse_number(variable, text)


def _parse_bool(text: str) -> bool:
    match text.lower():
        case "1" | "true" | "yes" | "on":
            return True
        case "0" | "false" | "no" | "off":
            return False
    raise ValueError("true or false")


def _parse_number(variable: Variable, text: str) -> float:
    low, high = variable.low, variable.high
    kind = "a whole number" if variable.type is int else "a number"
    bounds = "".join(
        (f", at least {low:g}" if low is not None else "", f", at most {high:g}" if high is not None else "")
    )
    try:
        number: float = variable.type(text)
    except ValueError:
        raise ValueError(kind + bounds) from None
    # Written so that NaN fails.
    if not ((low is None or number >= low) and (high is None or number <= high)) or number in (float("inf"),):
        raise ValueError(kind + bounds)
    return number

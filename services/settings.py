"""Settings: frozen nested groups, built once in a process's `__main__` and passed down.

Sources, the first wins: `TIDEMARK_GROUP__NAME` environment variables, then the TOML file named by `TIDEMARK_CONFIG`,
then the defaults here. A name that is not known is refused.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from services.crash_points import read_crash_point
from services.durations import Duration, OptionalDuration, write_duration
from services.rate_limits import read_rates
from services.redis_urls import read_cluster_url
from services.secret_files import FILE, with_secrets
from services.tls import client_context

CONFIG_VARIABLE = "TIDEMARK_CONFIG"
DEVELOPMENT_SECRET = "tidemark-development-secret-not-for-production"
JWT_SECRET_BYTES_MIN = 32
"""HS256 needs a secret at least as long as its hash (RFC 7518, section 3.2)."""

_KEY_SIGNS = ("-----BEGIN", "ssh-", "ecdsa-sha2-", '"kty"')
"""Who signs with a public key as if it were a secret lets everybody sign; PyJWT refuses these, at each token."""


def _none_or_text(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() == "none" else value


class Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _secrets_from_files(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        secrets = [name for name in cls.model_fields if name + FILE in cls.model_fields]
        return with_secrets(values, {name: cls.model_fields[name].default for name in secrets}, secrets)


SecretFile = Annotated[Path | None, Field(None, description="holds the secret that the setting would")]


class KafkaSettings(Group):
    bootstrap_servers: str = Field("127.0.0.1:9092", description="host:port, several with commas")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    sasl_password_file: SecretFile = None
    ssl_ca_file: Path | None = Field(None, description="PEM; who signed the brokers' certificates")
    ssl_certificate_file: Path | None = Field(None, description="PEM; for mutual TLS")
    ssl_key_file: Path | None = Field(None, description="PEM; of ssl_certificate_file, if not in the same file")
    idempotence: bool = Field(True, description="off only for the embedded broker, which cannot do it")
    request_timeout: Duration = 30.0
    group_prefix: str = Field(
        "tidemark",
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="of the consumer groups; another one for a second deployment that reads the same events",
    )

    @property
    def ingest_group(self) -> str:
        return f"{self.group_prefix}-ingest"

    @property
    def aggregator_group(self) -> str:
        return f"{self.group_prefix}-aggregator"

    @model_validator(mode="after")
    def _protocol_has_what_it_needs(self) -> "KafkaSettings":
        if self.security_protocol.startswith("SASL") and not (self.sasl_username and self.sasl_password):
            raise ValueError(
                f"security_protocol {self.security_protocol} needs sasl_username and sasl_password"
                " (or sasl_password_file)"
            )
        if self.security_protocol.endswith("SSL"):
            client_context(self.ssl_ca_file, self.ssl_certificate_file, self.ssl_key_file)
        elif self.ssl_ca_file or self.ssl_certificate_file or self.ssl_key_file:
            raise ValueError(
                f"files of TLS are given, but security_protocol is {self.security_protocol}: set it to SSL or SASL_SSL"
            )
        return self


class RedisSettings(Group):
    url: str = Field(
        "redis://127.0.0.1:6379/0",
        description="redis://, rediss:// or unix://; of a Redis Cluster redis+cluster:// or rediss+cluster://, with"
        " some of its nodes: redis+cluster://10.0.0.1:6379,10.0.0.2:6379",
    )
    username: str | None = Field(None, description="ACL user; Redis's `default` if none")
    password: SecretStr | None = None
    password_file: SecretFile = None
    ssl_ca_file: Path | None = Field(None, description="PEM; who signed the server's certificate; for rediss://")
    ssl_certificate_file: Path | None = Field(None, description="PEM; for mutual TLS")
    ssl_key_file: Path | None = Field(None, description="PEM; of ssl_certificate_file, if not in the same file")
    timeout: Duration = Field(5.0, description="of one call")

    @field_validator("url")
    @classmethod
    def _cluster_can_be_asked(cls, url: str) -> str:
        read_cluster_url(url)
        return url

    @model_validator(mode="before")
    @classmethod
    def _address_without_password(cls, values: Any) -> Any:
        """Take user and password out of the address, which is shown to people."""
        if not isinstance(values, dict) or not isinstance(values.get("url"), str):
            return values
        parts = _address_of_redis(values["url"])
        credentials, at, _ = parts.netloc.rpartition("@")
        if not at:
            return values
        username, _, password = map(unquote, credentials.partition(":"))
        if values.get("username") or values.get("password") or values.get("password_file"):
            raise ValueError("url has a user or password, and username or password is given too: give them once")
        return {
            **values,
            "url": values["url"].replace(f"{credentials}@", "", 1),
            "username": username or None,
            "password": password or None,
        }

    @model_validator(mode="after")
    def _files_fit_the_address(self) -> "RedisSettings":
        if urlsplit(self.url).scheme.startswith("rediss"):
            client_context(self.ssl_ca_file, self.ssl_certificate_file, self.ssl_key_file)
        elif self.ssl_ca_file or self.ssl_certificate_file or self.ssl_key_file:
            raise ValueError("files of TLS are given, but url does not begin with rediss://: let it")
        if self.username and not self.password:
            raise ValueError("username is given without password (or password_file): give both, or neither")
        return self


def _address_of_redis(url: str) -> SplitResult:
    """Return the parts of an address.

    Raises:
        ValueError: it is none, or has options that are settings here.
    """
    parts = urlsplit(url)
    if parts.scheme.removesuffix("+cluster") not in ("redis", "rediss", "unix"):
        raise ValueError("url: give an address such as redis://host:6379/0, rediss://host:6379/0 or unix:///path")
    for name in parse_qs(parts.query):
        if name.startswith("ssl_") or name in ("username", "password"):
            raise ValueError(
                f"url: {name} is no part of the address here; redis.username, password and ssl_* are settings"
            )
    return parts


class TopicSettings(Group):
    events: str = "usage.events"
    directory: str = "usage.directory"
    frames: str = "usage.frames"
    dead_letters: str = "usage.dead-letters"
    events_partitions: int = Field(4, ge=1, le=1024, description="when created; the producers' choice")
    frames_partitions: int = Field(16, ge=1, le=1024, description="P, fixed for a deployment")
    dead_letters_partitions: int = Field(4, ge=1, le=1024)
    replication: int = Field(1, ge=1, le=9, description="with several brokers at least 3 is checked at start")
    frames_retention: Duration = 35 * 86_400.0
    events_retention: Duration = 35 * 86_400.0
    dead_letters_retention: Duration = 90 * 86_400.0


class EventSettings(Group):
    """What is accepted, and how long things are kept. The three limits are lifted together or not at all."""

    max_age: OptionalDuration = Field(35 * 86_400.0, description="of an event behind its record's broker time")
    max_ahead: Duration = Field(300.0, description="of an event ahead of its record's broker time")
    max_bytes: int = Field(65_536, ge=1024, le=1_048_576, description="of one event record")
    unknown_fields: Literal["refuse", "ignore"] = "refuse"
    keep_hours: OptionalDuration = Field(45 * 86_400.0, description="hour windows, after their end")
    keep_days: OptionalDuration = Field(761 * 86_400.0, description="day windows, after their end")
    lateness_allowance: Duration = Field(3600.0, description="after a window's end, until it is called complete")
    dedup_margin: Duration = Field(48 * 3600.0, description="identities are kept max_age plus this after a write")
    identity_secret: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET), description="keys the identity hash; never change it for a deployment"
    )
    identity_secret_file: SecretFile = None

    @model_validator(mode="after")
    def _limits_agree(self) -> "EventSettings":
        if (self.max_age is None) != (self.keep_hours is None) or (self.max_age is None) != (self.keep_days is None):
            raise ValueError(
                "max_age, keep_hours and keep_days are lifted together: set all three to none, or none of them"
            )
        if self.max_age is not None and self.keep_hours is not None and self.max_age > self.keep_hours:
            raise ValueError(
                f"max_age ({write_duration(self.max_age)}) is above keep_hours ({write_duration(self.keep_hours)}):"
                " an event would be counted in an hour that is no longer kept; lower max_age or raise keep_hours"
            )
        return self


class IngestSettings(Group):
    max_poll_records: int = Field(20_000, ge=1, le=40_000)
    max_frame_events: int = Field(2_800, ge=1, le=4_000, description="7 ids and cells each stay under 20,000 a call")
    max_frame_bytes: int = Field(900_000, ge=10_000, le=1_000_000)
    heartbeat_interval: Duration = 1.0
    linger: Duration = Field(0.15, description="how long little is gathered for a poll")
    niceness: int = Field(5, ge=0, le=19, description="so that what was read is counted before more is read")
    clock_skew: Duration = Field(2.0, description="taken off the clock for a source read to its end")
    delivery_timeout: Duration = Field(120.0, description="of one frame, dead letter or commit; then the worker ends")
    session_timeout: Duration = 10.0
    host: str = Field("127.0.0.1", description="of health and metrics")
    port: int = Field(0, ge=0, le=65_535, description="health and metrics; 0 takes a free one")
    address_file: Path | None = Field(None, description="written with host:port of health and metrics")


class AggregatorSettings(Group):
    max_call_items: int = Field(20_000, ge=1_000, le=200_000, description="ids and cells in one script call")
    niceness: int = Field(3, ge=0, le=19, description="so that Redis, which all wait for, goes first")
    session_timeout: Duration = 10.0
    check_interval: Duration = Field(1.0, description="between looks at the applied offset")
    frame_check_interval: Duration = Field(5.0, description="between looks at the last applied frame in the log")
    allow_rebuild: bool = Field(False, description="begin although the start of the frames is gone")
    host: str = Field("127.0.0.1", description="of health and metrics")
    port: int = Field(0, ge=0, le=65_535, description="health and metrics; 0 takes a free one")
    address_file: Path | None = Field(None, description="written with host:port of health and metrics")


class ApiSettings(Group):
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65_535)
    health_host: str = Field("127.0.0.1", description="of health, metrics and the operators' routes")
    health_port: int = Field(0, ge=0, le=65_535, description="health, metrics and /ops; 0 takes a free one")
    address_file: Path | None = Field(None, description="written with host:port of health and metrics")
    tiers_file: Path | None = Field(None, description="TOML; tiers of the quota calls in place of those shipped")
    jwt_secret: SecretStr = Field(SecretStr(DEVELOPMENT_SECRET), description="signs HS256 tokens")
    jwt_secret_file: SecretFile = None
    jwt_key_file: Path | None = Field(
        None, description="public key of RS256 or ES256 tokens, in PEM; or several, as a JWKS in JSON"
    )
    jwks_url: str | None = Field(None, description="http or https address of a JWKS, for RS256 and ES256 tokens")
    jwks_interval: Duration = Field(300.0, ge=1, description="after which jwks_url is read again")
    jwt_issuer: str = "tidemark"
    jwt_audience: str = "tidemark-api"
    request_timeout: Duration = Field(0.7, gt=0, description="of one request; over it, the answer is 503")
    redis_timeout: Duration = Field(0.5, gt=0, description="of one call, and of waiting for a connection")
    redis_connections: int = Field(16, ge=1, le=1024)
    ops_interval: Duration = Field(10.0, ge=1, description="between looks at lag, for metrics and /ops/lag")
    ledger_interval: Duration = Field(60.0, ge=1, description="between readings of the ledger, for its metrics")
    behind_after: Duration = Field(10.0, description="age of the oldest waiting record from which lag is called behind")
    rate_limit: Annotated[str | None, BeforeValidator(_none_or_text)] = Field(
        None, description="such as 20/second per token, 200/second per organization; none lifts it"
    )

    @field_validator("jwt_secret")
    @classmethod
    def _secret_is_long_enough(cls, secret: SecretStr) -> SecretStr:
        if len(secret.get_secret_value().encode()) < JWT_SECRET_BYTES_MIN:
            raise ValueError(f"it must have at least {JWT_SECRET_BYTES_MIN} bytes; `openssl rand -hex 32` makes one")
        return secret

    @field_validator("jwt_secret")
    @classmethod
    def _secret_is_no_public_key(cls, secret: SecretStr) -> SecretStr:
        if any(sign in secret.get_secret_value() for sign in _KEY_SIGNS):
            raise ValueError("it is a key, not a secret; name a file with a public key in TIDEMARK_API__JWT_KEY_FILE")
        return secret

    @field_validator("jwks_url")
    @classmethod
    def _address_can_be_asked(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or parts.port == 0:
            raise ValueError("give an address such as https://identity.example/jwks.json, without user or password")
        return url

    @field_validator("rate_limit")
    @classmethod
    def _rates_can_be_read(cls, text: str | None) -> str | None:
        if text is not None:
            read_rates(text)
        return text

    @model_validator(mode="after")
    def _a_call_ends_before_its_request(self) -> "ApiSettings":
        if self.redis_timeout >= self.request_timeout:
            raise ValueError(
                f"redis_timeout ({write_duration(self.redis_timeout)}) must lie below request_timeout"
                f" ({write_duration(self.request_timeout)}): a request's time would be over before Redis is given up"
            )
        return self


class CanarySettings(Group):
    """A synthetic organization whose usage is known, held against what the query API answers."""

    enabled: bool = Field(False, description="`tidemark up` runs one; `tidemark run canary` does so anyway")
    organization: str = Field(
        "tidemark-canary",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="reserved for it; the interval is put behind, as in tidemark-canary-10s",
    )
    interval: Duration = Field(10.0, ge=0.1, le=600, description="from one event to the next")
    lookback: Duration = Field(
        3 * 3600.0, ge=0, le=86_400, description="how far back hours are compared, and published again at a start"
    )
    api_url: str | None = Field(None, description="of the query API; that of api.host and api.port if none")
    api_token: SecretStr | None = Field(None, description="bearer token; made with api.jwt_secret if none")
    api_token_file: SecretFile = None
    host: str = Field("127.0.0.1", description="of health and metrics")
    port: int = Field(0, ge=0, le=65_535, description="health and metrics; 0 takes a free one")
    address_file: Path | None = Field(None, description="written with host:port of health and metrics")

    @field_validator("api_url")
    @classmethod
    def _api_can_be_asked(cls, url: str | None) -> str | None:
        if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise ValueError("give an address such as http://127.0.0.1:8080")
        return url


class WatchdogSettings(Group):
    """When a process that is stuck ends itself, so that its supervisor starts it again."""

    loop_limit: OptionalDuration = Field(10.0, description="without a turn of the event loop; none lifts it")
    work_limit: OptionalDuration = Field(
        120.0, description="without progress while work waits and Kafka and Redis answer; none lifts it"
    )
    ends_process: bool = Field(True, description="off: /healthz says so, and nothing more happens")

    @field_validator("loop_limit", "work_limit")
    @classmethod
    def _limit_is_above_a_look(cls, limit_s: float | None) -> float | None:
        if limit_s is not None and limit_s < 2:  # looks come once a second
            raise ValueError("give at least 2s, or none")
        return limit_s


class TracingSettings(Group):
    spans: bool = Field(False, description="send spans of traced events by OpenTelemetry (extra otel)")


class TestingSettings(Group):
    crash_point: str = Field("", description="where a process dies (services.crash_points); empty in production")

    @field_validator("crash_point")
    @classmethod
    def _point_is_known(cls, text: str) -> str:
        read_crash_point(text)
        return text


class Settings(BaseSettings):
    """All settings of a deployment; every role reads the same and uses its own part."""

    model_config = SettingsConfigDict(
        env_prefix="TIDEMARK_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    topics: TopicSettings = TopicSettings()
    events: EventSettings = EventSettings()
    ingest: IngestSettings = IngestSettings()
    aggregator: AggregatorSettings = AggregatorSettings()
    api: ApiSettings = ApiSettings()
    canary: CanarySettings = CanarySettings()
    watchdog: WatchdogSettings = WatchdogSettings()
    tracing: TracingSettings = TracingSettings()
    testing: TestingSettings = TestingSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        config = os.environ.get(CONFIG_VARIABLE)
        files = (TomlConfigSettingsSource(settings_cls, Path(config)),) if config else ()
        return (init_settings, env_settings, *files)

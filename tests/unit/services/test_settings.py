"""Settings: their sources and which wins, what is refused and in which words, and the way to another process."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.settings import CONFIG_VARIABLE, Settings
from services.settings_loading import WrongSettings, environment, load_settings

DAY_S = 86_400.0


def said(overrides: dict[str, Any] | None = None) -> str:
    with pytest.raises(WrongSettings) as wrong:
        load_settings(overrides)
    sentence = str(wrong.value)
    assert "\n" not in sentence
    return sentence


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "tidemark.toml"
    monkeypatch.setenv(CONFIG_VARIABLE, str(path))
    return path


def test_a_variable_wins_over_the_file_and_the_file_over_the_default(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text('[redis]\nurl = "redis://file:1/0"\ntimeout = "7s"\n[ingest]\nlinger = "20ms"\n')
    monkeypatch.setenv("TIDEMARK_REDIS__URL", "redis://variable:1/0")
    loaded = load_settings()
    assert loaded.redis.url == "redis://variable:1/0"
    assert loaded.redis.timeout == 7.0
    assert loaded.ingest.linger == 0.02
    assert loaded.topics.frames_partitions == 16


def test_what_is_given_in_code_wins_over_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_REDIS__TIMEOUT", "9s")
    loaded = load_settings({"redis": {"url": "redis://code:1/0"}})
    assert (loaded.redis.url, loaded.redis.timeout) == ("redis://code:1/0", 9.0)


@pytest.mark.parametrize(
    "variable", ["TIDEMARK_KAFKA__TYPO", "TIDEMARK_TYPO__URL", "TIDEMARK_TYPO", "TIDEMARK_REDISURL"]
)
def test_a_variable_that_no_setting_has_is_named(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "1")
    assert variable in said()


def test_a_name_in_the_file_that_no_setting_has_is_named(config: Path) -> None:
    config.write_text("[kafka]\ntypo = 1\n")
    assert said() == "TIDEMARK_KAFKA__TYPO: no setting has this name"


@pytest.mark.parametrize("text", [b"[kafka\n", b"\xff\xfe", b"a = "])
def test_a_file_that_is_no_toml_is_named(config: Path, text: bytes) -> None:
    config.write_bytes(text)
    assert str(config) in said()


def test_a_file_that_is_not_there_is_named(config: Path) -> None:
    assert said() == f"{CONFIG_VARIABLE} names {config}, which is not a file"


def test_a_group_given_as_one_value_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_KAFKA", "localhost:9092")
    assert "TIDEMARK_GROUP__NAME" in said()
    assert "kafka" in said()
    assert "None" not in said()


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("topics", "frames_partitions", 0),
        ("topics", "frames_partitions", "16.5"),
        ("ingest", "max_frame_events", 4_001),
        ("events", "max_bytes", 1_048_577),
        ("events", "unknown_fields", "drop"),
        ("events", "max_ahead", "none"),
        ("redis", "timeout", "5 parsecs"),
        ("redis", "timeout", float("nan")),
        ("redis", "timeout", -1),
        ("api", "jwt_secret", "too short"),
        ("api", "jwt_secret", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"),
        ("api", "jwt_secret", '{"kty": "oct", "k": "a secret in a JWK"}'),
        ("api", "jwks_url", ""),
        ("api", "jwks_url", "file:///etc/passwd"),
        ("api", "jwks_url", "ftp://identity.example/jwks.json"),
        ("api", "jwks_url", "identity.example/jwks.json"),
        ("api", "jwks_url", "https:///jwks.json"),
        ("api", "jwks_url", "https://user:hunter2@identity.example/jwks.json"),
        ("api", "jwks_url", "https://identity.example:99999/jwks.json"),
        ("api", "jwks_url", "https://[::1/jwks.json"),
        ("api", "jwks_interval", 0),
        ("api", "request_timeout", 0),
        ("api", "redis_timeout", 0),
        ("api", "request_timeout", "none"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_variable(group: str, name: str, value: object) -> None:
    assert said({group: {name: value}}).startswith(f"TIDEMARK_{group}__{name}: ".upper())


def test_a_wrong_secret_is_not_repeated() -> None:
    assert "hunter2" not in said({"api": {"jwt_secret": "hunter2"}})
    assert "hunter2" not in said({"api": {"jwks_url": "https://user:hunter2@identity.example/jwks.json"}})


def test_several_wrong_values_are_all_named_on_one_line() -> None:
    sentence = said({"redis": {"timeout": -1}, "topics": {"replication": 0}})
    assert "TIDEMARK_REDIS__TIMEOUT" in sentence
    assert "TIDEMARK_TOPICS__REPLICATION" in sentence


@pytest.mark.parametrize("lifted", [["max_age"], ["keep_hours"], ["keep_days"], ["max_age", "keep_hours"]])
def test_the_three_limits_are_lifted_together_or_not_at_all(lifted: list[str]) -> None:
    assert "lifted together" in said({"events": dict.fromkeys(lifted, "none")})


def test_all_three_limits_may_be_lifted() -> None:
    events = load_settings({"events": dict.fromkeys(["max_age", "keep_hours", "keep_days"], "none")}).events
    assert (events.max_age, events.keep_hours, events.keep_days) == (None, None, None)


def test_an_age_limit_above_the_time_hours_are_kept_is_refused() -> None:
    assert "above keep_hours" in said({"events": {"max_age": "46d"}})
    assert load_settings({"events": {"max_age": "45d"}}).events.max_age == 45 * DAY_S


@pytest.mark.parametrize("times", [("700ms", "700ms"), ("0.3s", "0.5s")])
def test_a_call_to_redis_that_could_outlast_its_request_is_refused(times: tuple[str, str]) -> None:
    request, redis = times
    sentence = said({"api": {"request_timeout": request, "redis_timeout": redis}})
    assert sentence.startswith("TIDEMARK_API: redis_timeout")
    assert "below request_timeout" in sentence


def test_settings_cannot_be_changed() -> None:
    loaded = load_settings()
    with pytest.raises(ValidationError, match="frozen"):
        setattr(loaded.redis, "url", "redis://other:1/0")  # noqa: B010  (a type checker refuses the plain way)


def test_default_settings_need_no_variables() -> None:
    assert environment(load_settings()) == {}


PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


def some_of(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=values)


CHANGES = some_of(
    kafka=some_of(idempotence=st.booleans(), sasl_password=PRINTABLE),
    redis=some_of(timeout=st.floats(0, 1e9)),
    topics=some_of(frames_partitions=st.integers(1, 1024)),
    events=st.just(dict.fromkeys(["max_age", "keep_hours", "keep_days"]))
    | st.fixed_dictionaries({"max_age": st.floats(0, 45 * DAY_S)}),
    ingest=some_of(address_file=st.just(Path("/run/a b.txt"))),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(CHANGES)
def test_another_process_loads_the_same_settings_from_the_variables(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    ours = load_settings(changes)
    with monkeypatch.context() as process:
        for variable, value in environment(ours).items():
            process.setenv(variable, value)
        theirs = load_settings()
    assert theirs == ours


def test_secrets_are_left_out_where_they_are_not_wanted() -> None:
    ours = load_settings({"events": {"identity_secret": "a secret of mine"}})
    assert environment(ours) == {"TIDEMARK_EVENTS__IDENTITY_SECRET": "a secret of mine"}
    assert environment(ours, secrets=False) == {}


def test_secrets_are_not_shown_by_the_settings_themselves() -> None:
    assert "a secret of mine" not in repr(Settings(events={"identity_secret": "a secret of mine"}))

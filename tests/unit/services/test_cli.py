import base64
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.dead_letter_rows import members
from services.cli.main import app, main
from services.cli.run import Role, refuse_known_secrets
from services.cli.up import limits_of, overrides_of
from services.dead_letter_log import DeadLetter
from services.dead_letters import DeadLetterOrigin
from services.environment import child_environment, given
from services.pipeline import trying_out
from services.settings_loading import WrongSettings, load_settings

pytestmark = pytest.mark.unit


def test_an_age_limit_that_is_lifted_lifts_both_keep_times() -> None:
    assert limits_of("none", None, None) == {"max_age": "none", "keep_hours": "none", "keep_days": "none"}
    assert limits_of("1h", "2h", None) == {"max_age": "1h", "keep_hours": "2h"}
    assert limits_of(None, None, None) == {}


def test_the_options_of_up_are_settings_and_what_is_not_given_is_left_out() -> None:
    overrides = overrides_of("k:1", None, 8081, limits_of("none", None, None))
    assert overrides["redis"] == {}
    settings = load_settings(overrides)
    assert (settings.kafka.bootstrap_servers, settings.api.port, settings.events.max_age) == ("k:1", 8081, None)


def test_the_first_line_says_what_embedded_servers_are_not_good_for() -> None:
    both = trying_out({"broker": True, "redis": True})
    for words in ("trying out", "in memory", "starts empty each time, as its Redis does", "producer's timestamp"):
        assert words in both
    assert "as its Redis does" not in trying_out({"broker": True, "redis": False})
    assert trying_out({"broker": False, "redis": False}) == ""


@pytest.mark.parametrize(
    ("role", "variable"),
    [
        (Role.INGEST, "TIDEMARK_EVENTS__IDENTITY_SECRET"),
        (Role.AGGREGATOR, "TIDEMARK_EVENTS__IDENTITY_SECRET"),
        (Role.API, "TIDEMARK_API__JWT_SECRET"),
        (Role.CANARY, "TIDEMARK_API__JWT_SECRET"),
    ],
)
def test_a_role_refuses_the_secret_that_everybody_knows(role: Role, variable: str) -> None:
    with pytest.raises(WrongSettings, match=variable):
        refuse_known_secrets(role, load_settings())
    own = {"events": {"identity_secret": "our own"}, "api": {"jwt_secret": "our own secret of at least 32 bytes"}}
    refuse_known_secrets(role, load_settings(own))


@pytest.mark.parametrize("given", [{"jwks_url": "https://identity.example/jwks.json"}, {"jwt_key_file": "public.pem"}])
def test_an_api_that_checks_tokens_of_another_issuer_needs_no_secret(given: dict[str, str]) -> None:
    refuse_known_secrets(Role.API, load_settings({"api": given}))
    with pytest.raises(WrongSettings):
        refuse_known_secrets(Role.INGEST, load_settings({"api": given}))


def test_a_canary_with_a_token_of_its_own_needs_no_secret() -> None:
    refuse_known_secrets(Role.CANARY, load_settings({"canary": {"api_token": "a.b.c"}}))


def test_a_given_setting_is_known_by_variable_and_by_file_even_with_the_default_value(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert not given("kafka", "bootstrap_servers")
    monkeypatch.setenv("TIDEMARK_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9092")
    assert given("kafka", "bootstrap_servers")
    config = tmp_path / "tidemark.toml"
    config.write_text('[redis]\nurl = "redis://127.0.0.1:6379/0"\n')
    monkeypatch.setenv("TIDEMARK_CONFIG", str(config))
    assert given("redis", "url")
    assert not given("redis", "timeout")


def test_a_child_gets_these_settings_and_none_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TIDEMARK_API__PORT", "1234")
    settings = load_settings({"api": {"port": 8080}, "redis": {"url": "redis://r:1"}})
    given_to_it = child_environment(settings, tmp_path)
    variables = {name: value for name, value in given_to_it.items() if name.startswith("TIDEMARK_")}
    assert variables == {"TIDEMARK_REDIS__URL": "redis://r:1"}


def test_a_wrong_setting_is_one_sentence_and_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIDEMARK_KAFKA__MOOD", "good")
    monkeypatch.setattr("sys.argv", ["tidemark", "run", "ingest"])
    assert main() == 2
    err = capsys.readouterr().err
    assert "TIDEMARK_KAFKA__MOOD" in err
    assert err.count("\n") == 1


def test_a_missing_state_file_is_one_sentence_and_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["tidemark", "lag", "--state-file", str(tmp_path / "none.json")])
    assert main() == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        *("up", "run", "demo", "wait", "lag", "topics create", "counters export", "dead-letters list"),
        *("dead-letters show", "dead-letters replay", "dead-letters purge"),
        *("frames skip", "frames reach"),
        *("api-key create", "api-key list", "api-key revoke"),
    ],
)
def test_the_help_of_each_command_shows_an_example_where_it_teaches(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_a_dead_letter_is_shown_as_it_was_text_or_base64() -> None:
    origin = DeadLetterOrigin(
        reason="not_utf8", field=None, topic="usage.events", partition=1, offset=2, rejected_at_ms=3
    )
    letter = DeadLetter(
        partition=0,
        offset=7,
        timestamp_ms=9,
        origin=origin,
        key=b"acme",
        value=b"\xff",
        headers=(("trace", b"t"),),
    )
    shown = members(letter)
    assert shown["key"] == {"text": "acme"}
    assert shown["value"] == {"base64": base64.b64encode(b"\xff").decode()}
    assert shown["headers"] == [{"name": "trace", "text": "t"}]
    assert (shown["reason"], shown["offset"], shown["rejectedAt"]) == ("not_utf8", 2, "1970-01-01T00:00:00.003Z")

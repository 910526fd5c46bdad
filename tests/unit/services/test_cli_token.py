import json
import os
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from services.cli.main import app, main
from services.clock import now_ms
from services.event_rules import read_time_ms
from services.pipeline_state import PipelineState, write_state
from services.settings import ApiSettings, Settings
from services.token_keys import fixed_keys
from services.tokens import BadToken, Claims, Role, check_ops_token, check_token


def tidemark(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["token", *arguments])


def accepted(text: str, api: ApiSettings) -> Claims:
    return check_token(text, fixed_keys(api), issuer=api.jwt_issuer, audience=api.jwt_audience).claims


def test_the_printed_token_is_one_that_the_api_accepts() -> None:
    result = tidemark("--organization", "acme", "--role", "TeamLead", "--user", "ada")
    assert result.exit_code == 0, result.output
    claims = accepted(result.stdout.strip(), Settings().api)
    assert (claims.organization, claims.role, claims.subject) == ("acme", Role.TEAM_LEAD, "ada")


def test_json_says_when_it_expires() -> None:
    before_ms = now_ms()
    result = tidemark("--organization", "acme", "--role", "Admin", "--expires", "90s", "--json")
    answer = json.loads(result.stdout)
    assert list(answer) == ["token", "expiresAt"]
    accepted(answer["token"], Settings().api)
    assert 88_000 <= read_time_ms(answer["expiresAt"]) - before_ms <= 120_000


def test_the_secret_is_found_by_the_state_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", dict(os.environ))
    secret = "a secret that only the state file knows"
    file = tmp_path / "state.json"
    variables = {"TIDEMARK_API__JWT_SECRET": secret}
    write_state(file, PipelineState(kafka="", redis="", api="", pids={}, environment=variables))
    result = tidemark("--organization", "acme", "--role", "Member", "--state-file", str(file))
    assert accepted(result.stdout.strip(), ApiSettings(jwt_secret=SecretStr(secret))).role is Role.MEMBER


@pytest.mark.parametrize("expires", ["none", "0s", "367d", "soon", "-1h"])
def test_a_lifetime_that_makes_no_sense_is_refused(expires: str) -> None:
    result = tidemark("--organization", "acme", "--role", "Admin", "--expires", expires)
    assert result.exit_code == 2


def test_another_role_is_refused() -> None:
    assert tidemark("--organization", "acme", "--role", "Owner").exit_code == 2


@pytest.mark.parametrize("variable", ["TIDEMARK_API__JWKS_URL", "TIDEMARK_API__JWT_KEY_FILE"])
def test_a_deployment_that_checks_tokens_of_another_issuer_makes_none_without_a_secret_of_its_own(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, "https://identity.example/jwks.json")
    monkeypatch.setattr("sys.argv", ["tidemark", "token", "--organization", "acme", "--role", "Admin"])
    assert main() == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "TIDEMARK_API__JWT_SECRET is not set" in printed.err
    monkeypatch.setenv("TIDEMARK_API__JWT_SECRET", "a secret of our own that is long enough")
    assert tidemark("--organization", "acme", "--role", "Admin").exit_code == 0


def test_a_token_of_scope_ops_opens_the_operators_routes_alone() -> None:
    result = tidemark("--scope", "ops", "--user", "ada")
    api = Settings().api
    text = result.stdout.strip()
    assert check_ops_token(text, fixed_keys(api), issuer=api.jwt_issuer, audience=api.jwt_audience) == "ada"
    with pytest.raises(BadToken):
        accepted(text, api)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--scope", "ops", "--organization", "acme"], "leave out --organization and --role"),
        (["--role", "Admin"], "give --organization and --role"),
        (["--organization", "acme"], "give --role"),
    ],
)
def test_a_token_is_a_users_or_an_operators_and_half_of_neither(arguments: list[str], sentence: str) -> None:
    result = tidemark(*arguments)
    assert result.exit_code == 2
    assert sentence in " ".join(result.output.replace("│", " ").split())

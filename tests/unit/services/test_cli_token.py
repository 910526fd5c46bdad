import json
import os
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from services.cli.main import app
from services.clock import now_ms
from services.event_rules import read_time_ms
from services.pipeline_state import PipelineState, write_state
from services.settings import ApiSettings, Settings
from services.tokens import Role, token_key, verify_token


def tidemark(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["token", *arguments])


def test_the_printed_token_is_one_that_the_api_accepts() -> None:
    result = tidemark("--organization", "acme", "--role", "TeamLead", "--user", "ada")
    assert result.exit_code == 0, result.output
    claims = verify_token(result.stdout.strip(), token_key(Settings().api))
    assert (claims.organization, claims.role, claims.subject) == ("acme", Role.TEAM_LEAD, "ada")


def test_json_says_when_it_expires() -> None:
    before_ms = now_ms()
    result = tidemark("--organization", "acme", "--role", "Admin", "--expires", "90s", "--json")
    answer = json.loads(result.stdout)
    assert list(answer) == ["token", "expiresAt"]
    verify_token(answer["token"], token_key(Settings().api))
    assert 88_000 <= read_time_ms(answer["expiresAt"]) - before_ms <= 120_000


def test_the_secret_is_found_by_the_state_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", dict(os.environ))
    secret = "a secret that only the state file knows"
    file = tmp_path / "state.json"
    variables = {"TIDEMARK_API__JWT_SECRET": secret}
    write_state(file, PipelineState(kafka="", redis="", api="", pids={}, environment=variables))
    result = tidemark("--organization", "acme", "--role", "Member", "--state-file", str(file))
    key = token_key(ApiSettings(jwt_secret=SecretStr(secret)))
    assert verify_token(result.stdout.strip(), key).role is Role.MEMBER


@pytest.mark.parametrize("expires", ["none", "0s", "367d", "soon", "-1h"])
def test_a_lifetime_that_makes_no_sense_is_refused(expires: str) -> None:
    result = tidemark("--organization", "acme", "--role", "Admin", "--expires", expires)
    assert result.exit_code == 2


def test_another_role_is_refused() -> None:
    assert tidemark("--organization", "acme", "--role", "Owner").exit_code == 2

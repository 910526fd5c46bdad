"""`tidemark api-key` on a real Redis or Valkey, as a person or a script meets it."""

import asyncio
import json

import pytest
from typer.testing import CliRunner, Result

from services.api_keys import ApiKey, hash_of, make_key
from services.cli.main import app, main
from services.clock import now_ms
from services.event_rules import read_time_ms
from services.identifiers import OrganizationId
from services.redis_api_keys import RedisApiKeyStore
from services.redis_client import connect
from services.settings import RedisSettings

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TIDEMARK_REDIS__URL", redis_url)
    return redis_url


def tidemark(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["api-key", *arguments])


def test_a_new_key_is_printed_alone_and_its_id_beside_it() -> None:
    result = tidemark("create", "--organization", "acme", "--name", "ci")
    assert result.exit_code == 0, result.output
    (text,) = result.stdout.splitlines()
    assert hash_of(text) is not None
    assert f"tidemark api-key revoke {text.split('_')[1]}" in result.stderr
    assert text not in result.stderr


def test_json_tells_everything_and_list_everything_but_the_key() -> None:
    before_ms = now_ms()
    created = json.loads(tidemark("create", "--organization", "acme", "--expires", "90d", "--json").stdout)
    assert list(created) == ["key", "id", "organizationId", "name", "createdAt", "expiresAt"]
    assert 0 <= read_time_ms(created["createdAt"]) - before_ms <= 60_000
    assert read_time_ms(created["expiresAt"]) - read_time_ms(created["createdAt"]) == 90 * 86_400_000
    tidemark("create", "--organization", "rival")
    listed = json.loads(tidemark("list", "--json").stdout)
    assert listed[0] == {name: value for name, value in created.items() if name != "key"}
    assert [(row["organizationId"], row["expiresAt"] is None) for row in listed] == [("acme", False), ("rival", True)]
    table = tidemark("list").stdout
    assert created["id"] in table
    assert "never" in table
    assert created["key"] not in table


def test_list_says_when_there_are_none_and_which_have_expired(redis: str) -> None:
    assert "no API keys" in tidemark("list").stdout
    assert tidemark("list", "--json").stdout == "[]\n"

    async def keep_an_expired_one() -> None:
        client = connect(RedisSettings(url=redis))
        new = make_key()
        key = ApiKey(id=new.id, organization=OrganizationId("acme"), name="", created_ms=0, expires_ms=1000)
        await RedisApiKeyStore(client).create(new.hash, key)
        await client.aclose()

    asyncio.run(keep_an_expired_one())
    assert "1970-01-01T00:00:01Z (expired)" in tidemark("list").stdout


def test_a_revoked_key_is_gone_and_an_unknown_one_is_a_no() -> None:
    created = json.loads(tidemark("create", "--organization", "acme", "--json").stdout)
    assert tidemark("revoke", created["id"]).stdout == f"revoked {created['id']}\n"
    again = tidemark("revoke", created["id"])
    assert (again.exit_code, "there is no key" in again.stdout) == (1, True)
    assert json.loads(tidemark("revoke", "nope", "--json").stdout) == {"revoked": False}
    assert "no API keys" in tidemark("list").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["create"],
        ["create", "--organization", ""],
        ["create", "--organization", "a/b"],
        ["create", "--organization", "usage"],
        ["create", "--organization", "acme", "--name", "a\nb"],
        ["create", "--organization", "acme", "--name", "n" * 101],
        ["create", "--organization", "acme", "--expires", "0s"],
        ["create", "--organization", "acme", "--expires", "none"],
        ["create", "--organization", "acme", "--expires", "soon"],
        ["revoke"],
    ],
)
def test_wrong_use_is_2_and_makes_nothing(arguments: list[str]) -> None:
    assert tidemark(*arguments).exit_code == 2
    assert "no API keys" in tidemark("list").stdout


@pytest.mark.parametrize("command", [["list"], ["revoke", "0123456789"], ["create", "--organization", "acme"]])
def test_a_redis_that_is_away_is_one_sentence_and_3(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIDEMARK_REDIS__URL", "redis://127.0.0.1:1/0")
    monkeypatch.setattr("sys.argv", ["tidemark", "api-key", *command])
    assert main() == 3
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)

"""Secrets from files: read, refused in words, and never shown or handed on by value."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from services.environment import child_environment
from services.secret_files import FILE, read_secret, write_secret
from services.settings import Settings
from services.settings_loading import WrongSettings, environment, load_settings

SECRETS = [
    (group, name)
    for group, info in Settings.model_fields.items()
    for name, field in type(info.default).model_fields.items()
    if SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ()))
]
HIDDEN = "never-to-be-shown-anywhere-at-all"


def said(overrides: dict[str, Any]) -> str:
    with pytest.raises(WrongSettings) as wrong:
        load_settings(overrides)
    assert "\n" not in str(wrong.value)
    return str(wrong.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_secret(tmp_path / "secret", HIDDEN)


def test_there_are_secrets() -> None:
    assert ("kafka", "sasl_password") in SECRETS
    assert ("redis", "password") in SECRETS
    assert len(SECRETS) >= 5


@pytest.mark.parametrize(("group", "name"), SECRETS)
def test_every_secret_may_come_from_a_file_and_is_handed_on_as_that(group: str, name: str, file: Path) -> None:
    loaded = load_settings({group: {name + FILE: file}})
    assert getattr(getattr(loaded, group), name).get_secret_value() == HIDDEN
    assert environment(loaded) == {f"TIDEMARK_{group}__{name}{FILE}".upper(): str(file)}
    assert HIDDEN not in repr(loaded)


@pytest.mark.parametrize(("group", "name"), SECRETS)
def test_a_secret_that_is_given_twice_is_refused(group: str, name: str, file: Path) -> None:
    sentence = said({group: {name: HIDDEN, name + FILE: file}})
    assert f"{name} and {name}{FILE} are both given" in sentence
    assert HIDDEN not in sentence


def test_it_may_stand_in_a_variable_and_in_the_file_of_settings(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "tidemark.toml"
    config.write_text(f'[api]\njwt_secret_file = "{file}"\n')
    monkeypatch.setenv("TIDEMARK_CONFIG", str(config))
    monkeypatch.setenv("TIDEMARK_EVENTS__IDENTITY_SECRET_FILE", str(file))
    loaded = load_settings()
    assert loaded.api.jwt_secret == loaded.events.identity_secret == SecretStr(HIDDEN)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b" \r\n", "is empty"),
        (b"\xff" + HIDDEN.encode(), "is not UTF-8"),
        (b"x" * 70_000, "larger than"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_setting_and_remedy(
    content: bytes | None, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    sentence = said({"redis": {"password_file": file}})
    assert sentence.startswith(f"TIDEMARK_REDIS: password_file names {file}, which ")
    assert words in sentence
    assert HIDDEN not in sentence


def test_a_directory_is_no_secret(tmp_path: Path) -> None:
    assert "cannot be read (Is a directory)" in said({"redis": {"password_file": tmp_path}})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1).filter(str.strip))
def test_what_is_written_is_read_back(tmp_path: Path, secret: str) -> None:
    file = write_secret(tmp_path / "secret", secret)
    assert read_secret("any", file) == secret
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_the_end_of_a_line_is_no_part_of_it(ending: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(f"pass word{ending}".encode())
    assert read_secret("any", file) == "pass word"


def test_a_child_gets_secrets_by_file_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_API__JWT_SECRET", HIDDEN)
    ours = load_settings({"redis": {"url": f"redis://someone:{HIDDEN}@127.0.0.1:1/0"}})
    variables = child_environment(ours, tmp_path)
    assert HIDDEN not in "".join(variables.values())
    for name in [name for name in os.environ if name.startswith("TIDEMARK_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    theirs = load_settings()
    assert theirs.api.jwt_secret == ours.api.jwt_secret == SecretStr(HIDDEN)
    assert (theirs.redis.username, theirs.redis.password) == ("someone", SecretStr(HIDDEN))

"""What the commands on dead letters refuse before they ask any server."""

import pytest
from typer.testing import CliRunner

from services.cli.main import app, main
from services.settings_loading import WrongSettings

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("replay", "say which letters"),
        ("replay --all --reason negative", "say which letters"),
        ("replay 0:1 --since 2h", "say which letters"),
        ("replay --all --edit f", "say which letters"),
        ("replay --all --allow-new-identity", "is for --edit"),
        ("replay 0-1", "PARTITION:OFFSET"),
        ("replay --since yesterday", "is no moment"),
        ("list --until 2026-08-22", "is no moment"),
        ("show 17", "PARTITION:OFFSET"),
        ("purge", "--before TIME"),
        ("purge --all --before 2h", "--before TIME"),
        ("purge --up-to 7", "PARTITION:OFFSET"),
    ],
)
def test_a_wrong_use_is_said_at_once(command: str, words: str) -> None:
    result = CliRunner().invoke(app, ["dead-letters", *command.split()], terminal_width=400)
    assert result.exit_code == 2
    assert words in result.output


def test_old_letters_are_refused_by_a_sentence_where_the_limit_holds() -> None:
    with pytest.raises(WrongSettings, match=r"set events\.max_age, events\.keep_hours and events\.keep_days to none"):
        CliRunner().invoke(app, ["dead-letters", "replay", "--all", "--keep-old"], catch_exceptions=False)


def test_a_file_of_corrections_that_is_no_file_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["tidemark", "dead-letters", "replay", "--edit", "none.ndjson"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "tidemark: none.ndjson: No such file or directory\n"

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.main import app

pytestmark = pytest.mark.unit

HEADER = b"type,organizationid,subject,name\n"
TABLE = HEADER + b"organization,acme,acme,Acme\nteam,acme,core,Core\nteam,acme,docs,Docs\n"
LINE = (
    b'{"specversion":"1.0","id":"1","source":"s","type":"directory.group","time":"2026-08-22T08:00:00Z",'
    b'"subject":"g","organizationid":"acme","data":{"action":"delete","version":1}}\n'
)


def run(*arguments: str | Path, standard_input: bytes = b"") -> Result:
    return CliRunner().invoke(app, ["directory", "import", *map(str, arguments)], input=standard_input)


@pytest.mark.parametrize(
    ("name", "data", "good"),
    [
        ("people.csv", TABLE, {"organization": 1, "team": 2}),
        ("people.CSV.gz", gzip.compress(TABLE), {"organization": 1, "team": 2}),
        ("events.ndjson", LINE * 2, {"group": 2}),
        ("events.2026.jsonl.gz", gzip.compress(LINE), {"group": 1}),
        ("events.ndjson", b"", {}),
    ],
)
def test_the_name_tells_the_format_and_check_publishes_nothing(
    tmp_path: Path, name: str, data: bytes, good: dict[str, int]
) -> None:
    (tmp_path / name).write_bytes(data)
    result = run(tmp_path / name, "--check", "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert (answer["good"], answer["bad"], answer["told"], answer["published"]) == (good, 0, [], 0)


def test_what_was_found_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "people").write_bytes(TABLE)
    result = run(tmp_path / "people", "--format", "csv", "--check")
    assert result.stdout == "3 rows are good (1 organization, 2 teams); nothing was published\n"


def test_every_bad_row_is_told_up_to_a_bound_and_nothing_is_published(tmp_path: Path) -> None:
    # No Kafka is there: an attempt to publish would end with 3.
    (tmp_path / "people.csv").write_bytes(TABLE + b"team,acme,core/2,Core\n" * 25)
    result = run(tmp_path / "people.csv")
    assert result.exit_code == 1
    told = result.stderr.splitlines()
    assert told[0] == "line 5, subject: give an id: 1 to 128 characters, no control characters, no /"
    assert len(told) == 22
    assert told[20:] == ["and 5 more", "nothing was published: 25 bad and 3 good rows"]
    assert result.stdout == ""


def test_programs_get_the_bad_rows_as_json() -> None:
    result = run("-", "--format", "csv", "--json", standard_input=b"type,organizationid,name\n")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert answer["bad"] == 1
    assert answer["told"] == [{"line": 1, "field": "subject", "remedy": "is missing; every table has this column"}]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-"], "standard input has no name: say --format"),
        (["people.txt"], "people.txt ends with none of their suffixes: say --format"),
        (["absent.csv"], "No such file"),
        ([".", "--format", "csv"], "directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence_and_code_2(arguments: list[str], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.replace("│", "").split())


def test_the_help_shows_examples_and_the_columns() -> None:
    shown = " ".join(run("--help").output.split())
    for words in ("tidemark directory import people.csv --check", "organizationid", "--format csv"):
        assert words in shown

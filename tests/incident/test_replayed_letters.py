"""Refused records corrected and published again: the counters are as if none had been refused, and nothing twice."""

import base64
import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from services.crash_points import KILLED
from tests.support.broken import ways
from tests.support.comparison import compare
from tests.support.oracle import Limits, Oracle
from tests.support.pipeline import TIDEMARK, PipelineUnderTest, clean_environment, running_pipeline
from tests.support.servers import Broker

pytestmark = [pytest.mark.e2e, pytest.mark.guarantee]

LINES = 2_000
LETTERS = 1_000
REASONS = (
    *("not_utf8", "not_json", "duplicate_key", "missing_attribute", "wrong_type", "unknown_type"),
    *("unknown_field", "negative", "too_big", "time_without_offset"),
)
FROM_BYTES = ("not_utf8", "not_json", "duplicate_key")
"""Reasons of records that hold no sound object: they are corrected as text."""


def broken(good: bytes, reason: str) -> bytes:
    """Return a good line broken in one way, its id kept."""
    way = dict(reversed(ways()))[reason]
    return way(json.loads(good))


def corrected(letter: dict[str, Any], good: bytes) -> dict[str, Any]:
    if letter["reason"] in FROM_BYTES:
        assert letter["event"] is None
        return letter | {"value": {"text": good.decode()}}
    return letter | {"event": json.loads(good)}


def dead_letters(pipeline: PipelineUnderTest, *arguments: str | Path, code: int = 0) -> list[dict[str, Any]]:
    """Run a command on dead letters in this process, which saves its start; return the lines that it printed."""
    environment = pipeline.state()["environment"]
    result = CliRunner().invoke(app, ["dead-letters", *map(str, arguments), "--json"], env=environment)
    assert result.exit_code == code, (arguments, result.output[-2000:], result.exception)
    return [json.loads(line) for line in result.stdout.splitlines()]


def listed(pipeline: PipelineUnderTest, *options: str) -> list[dict[str, Any]]:
    return dead_letters(pipeline, "list", *options)


def replay(pipeline: PipelineUnderTest, *options: str | Path, code: int = 0) -> dict[str, Any]:
    [answer] = dead_letters(pipeline, "replay", *options, code=code)
    return answer


def killed_midway(pipeline: PipelineUnderTest, file: Path) -> None:
    """Let a replay die when its second chunk is sent and not yet marked."""
    command = [*TIDEMARK, "dead-letters", "replay", "--edit", str(file)]
    command += ["--state-file", str(pipeline.state_file)]
    dying = clean_environment({"TIDEMARK_TESTING__CRASH_POINT": "replay.after_sending:2"})
    process = subprocess.run(command, env=dying, capture_output=True, cwd=pipeline.directory, timeout=60, check=False)
    assert process.returncode == KILLED, process.stderr


@pytest.mark.timeout(180)
def test_a_thousand_refused_records_are_corrected_replayed_and_counted_once(
    tmp_path: Path, kafka: Broker, redis_url: str
) -> None:
    file, edits = tmp_path / "lines.ndjson", tmp_path / "edits.ndjson"
    with running_pipeline(tmp_path, kafka.bootstrap, redis_url) as pipeline:
        pipeline.run("simulate", "--seed", "3", "--events", str(LINES), "--out", file)
        good = file.read_bytes().splitlines()
        # A copy is not broken, nor what has one: which of the two is counted would be another question.
        ids = Counter(json.loads(line)["id"] for line in good)
        single = [at for at, line in enumerate(good) if ids[json.loads(line)["id"]] == 1][:LETTERS]
        bad = {at: broken(good[at], REASONS[number % len(REASONS)]) for number, at in enumerate(single)}
        file.write_bytes(b"".join(bad.get(at, line) + b"\n" for at, line in enumerate(good)))
        pipeline.publish(file)
        pipeline.catch_up()

        letters = listed(pipeline)
        assert Counter(letter["reason"] for letter in letters) == dict.fromkeys(REASONS, LETTERS // len(REASONS))
        first_of = {value: good[at] for at, value in bad.items()}
        lines = [corrected(letter, first_of[content(letter)]) for letter in letters]
        edits.write_text("".join(json.dumps(line) + "\n" for line in lines))
        killed_midway(pipeline, edits)
        after = replay(pipeline, "--edit", edits)
        assert (after["sent"], after["accepted"], after["refusedAgain"]) == (500, 500, {})
        assert after["skipped"] == {"replayed_before": 500}
        assert replay(pipeline, "--all")["sent"] == 0
        assert replay(pipeline, "--edit", edits, "--again")["accepted"] == LETTERS
        assert listed(pipeline, "--not-replayed") == []

        counted = Oracle(good, limits=Limits(max_age_ms=None, max_ahead_ms=0))
        assert counted.bad == 0
        result = compare(pipeline.export(), counted.rows())
        assert result.equal, result

        check_one_that_comes_back(pipeline, next(letter for letter in letters if letter["reason"] == "negative"))
        check_what_may_be_purged(pipeline)


def content(letter: dict[str, Any]) -> bytes:
    value = letter["value"]
    return base64.b64decode(value["base64"]) if "base64" in value else value["text"].encode()


def check_one_that_comes_back(pipeline: PipelineUnderTest, letter: dict[str, Any]) -> None:
    refused = replay(pipeline, letter["id"], "--again", code=1)
    assert (refused["sent"], refused["skipped"]) == (0, {"would_be_refused_again": 1})
    back = replay(pipeline, letter["id"], "--again", "--force", code=1)
    assert (back["accepted"], back["refusedAgain"]) == (0, {"negative": 1})
    [new] = listed(pipeline, "--not-replayed")
    assert (new["replayOf"], new["firstLetter"], new["reason"]) == (letter["id"], letter["id"], "negative")
    assert new["id"] == back["refusedLetters"][0]["id"]
    assert new["value"] == letter["value"]


def check_what_may_be_purged(pipeline: PipelineUnderTest) -> None:
    [kept] = dead_letters(pipeline, "purge", "--all", "--yes", code=1)
    assert (kept["letters"], kept["unreplayed"], kept["keptUnreplayed"]) == (LETTERS, 0, 1)
    assert [letter["reason"] for letter in listed(pipeline)] == ["negative"]
    dead_letters(pipeline, "purge", "--all", "--yes", "--unreplayed-too")
    assert listed(pipeline) == []

import json

import pytest
from typer.testing import CliRunner, Result

from services.cli.main import app
from tests.support.ports import LOOPBACK, free_ports

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _nothing_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka, redis = free_ports(2)
    monkeypatch.setenv("TIDEMARK_KAFKA__BOOTSTRAP_SERVERS", f"{LOOPBACK}:{kafka}")
    monkeypatch.setenv("TIDEMARK_REDIS__URL", f"redis://{LOOPBACK}:{redis}/0")
    monkeypatch.setenv("TIDEMARK_TOPICS__FRAMES_PARTITIONS", "2")


def lag(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["lag", *arguments])


def test_with_both_servers_away_everything_is_unknown_and_the_reasons_are_told() -> None:
    result = lag("--json")
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert [(row["topic"], row["lag"], row["age_seconds"], row["state"]) for row in rows] == [
        ("usage.frames", None, None, "unknown")
    ] * 2
    assert "the ends are unknown: " in result.stderr
    assert "what is applied is unknown: Redis is away" in result.stderr
    assert "how old the numbers are is unknown" in lag().stdout


@pytest.mark.parametrize("limit", [("--max-lag", "1000000"), ("--max-age", "9d")])
def test_what_is_unknown_keeps_no_threshold(limit: tuple[str, str]) -> None:
    result = lag(*limit)
    assert result.exit_code == 1
    assert "usage.frames, partition 1: " in result.stderr


@pytest.mark.parametrize(
    "arguments", [("--watch", "--max-lag", "3"), ("--max-age", "none"), ("--max-age", "soon"), ("--rates", "0.1")]
)
def test_what_makes_no_sense_is_wrong_use(arguments: tuple[str, ...]) -> None:
    assert lag(*arguments).exit_code == 2

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from services.metrics_page import metrics_page
from services.telemetry import METRICS, Kind, Telemetry, configure_logs

PAGE = Path(__file__).parents[3] / "deploy" / "docs" / "metrics.md"


def series(telemetry: Telemetry, start: str) -> list[str]:
    lines = telemetry.exposition()[1].decode().splitlines()
    return [line for line in lines if line.startswith(start)]


def test_a_count_is_exposed_with_the_role_filled_in() -> None:
    telemetry = Telemetry("ingest")
    telemetry.count("tidemark_events_total", 3, result="accepted")
    assert series(telemetry, "tidemark_events_total") == ['tidemark_events_total{result="accepted",role="ingest"} 3.0']


def test_a_gauge_is_absent_before_it_is_set_and_after_it_is_forgotten() -> None:
    telemetry = Telemetry("aggregator")
    assert series(telemetry, "tidemark_applied_offset") == []
    telemetry.set("tidemark_applied_offset", 7, partition=3)
    assert series(telemetry, "tidemark_applied_offset") == ['tidemark_applied_offset{partition="3"} 7.0']
    telemetry.forget("tidemark_applied_offset", partition=3)
    telemetry.forget("tidemark_applied_offset", partition=4)
    assert series(telemetry, "tidemark_applied_offset") == []


def test_an_observation_lands_in_its_range() -> None:
    telemetry = Telemetry("api")
    telemetry.observe("tidemark_read_seconds", 0.003)
    assert 'tidemark_read_seconds_bucket{le="0.002"} 0.0' in series(telemetry, "tidemark_read_seconds")
    assert 'tidemark_read_seconds_bucket{le="0.005"} 1.0' in series(telemetry, "tidemark_read_seconds")


def test_an_unknown_name_or_another_kind_is_a_key_error() -> None:
    telemetry = Telemetry("api")
    with pytest.raises(KeyError):
        telemetry.count("tidemark_surprises_total")
    with pytest.raises(KeyError):
        telemetry.set("tidemark_events_total", 1, result="counted")


def test_wrong_labels_are_refused_with_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"tidemark_dead_letters_total has the labels \['reason'\]"):
        Telemetry("ingest").count("tidemark_dead_letters_total", organization="acme")


def test_every_row_of_the_table_follows_the_naming_rules() -> None:
    assert len({row.name for row in METRICS}) == len(METRICS)
    for row in METRICS:
        assert row.name.startswith("tidemark_"), row
        assert (row.kind is Kind.COUNTER) == row.name.endswith("_total"), row
        assert (row.kind is Kind.HISTOGRAM) == bool(row.ranges), row
        assert not set(row.labels) & {"organization", "team", "user", "event"}, row


def test_the_metrics_page_is_current() -> None:
    assert PAGE.read_text() == metrics_page(), "run: python -m services.metrics_page > deploy/docs/metrics.md"


@pytest.fixture
def logs_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("logs_restored")
def test_own_lines_and_those_of_libraries_are_json_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("ingest")
    structlog.get_logger().info("frame_sent", partition=3)
    logging.getLogger("some.library").warning("odd %s", "thing")
    captured = capsys.readouterr()
    assert captured.out == ""
    own, foreign = [json.loads(line) for line in captured.err.splitlines()]
    assert (own["event"], own["role"], own["partition"], own["level"]) == ("frame_sent", "ingest", 3, "info")
    assert (foreign["event"], foreign["logger"], foreign["role"]) == ("odd thing", "some.library", "ingest")


@pytest.mark.usefixtures("logs_restored")
def test_an_exception_is_one_line_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("ingest")
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger().exception("role_failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: broken" in json.loads(line)["exception"]

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.main import app
from tests.support.pipeline import ROOT

pytestmark = pytest.mark.unit

SMALL = ("--events", "15", "--users", "20000", "--organizations", "40")


def plan(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["plan", *arguments], env={"COLUMNS": "400"})


def test_the_example_of_the_help_says_what_is_needed_and_why() -> None:
    assert "--events 15 --users 20000 --organizations 40" in " ".join(plan("--help").stdout.split())
    result = plan(*SMALL)
    assert result.exit_code == 0
    for words in ("partitions of usage.frames", "one Redis does", "what ends first", "catching up after 60 min"):
        assert words in result.stdout


LOADS = (("15", "20000", "40"), ("150", "200000", "500"), ("1500", "2000000", "5000"))


@pytest.mark.parametrize("column", range(len(LOADS)))
def test_the_page_tells_what_the_command_says(column: int) -> None:
    rows = [line.split(" | ") for line in (ROOT / "deploy/docs/capacity.md").read_text().splitlines()]
    told = {row[0].strip("| "): row[column + 1].strip("| ") for row in rows if len(row) == 4}
    events, users, organizations = LOADS[column]
    found = json.loads(plan("--events", events, "--users", users, "--organizations", organizations, "--json").stdout)
    redis = found["redis"]
    assert told["Redis, used memory"] == f"{redis['usedBytes'] / 2**30:.1f} GiB"
    resident = f"{redis['ofFullestMaster']['machineBytes'] / 2**30:.1f} GiB"
    assert told["memory of the machine (rebuild and rewriting in it)"].startswith(resident)
    assert told["masters"].split(",")[0] == str(redis["masters"])
    assert f"{found['ends'][0]['eventsPerSecond']:,}/s" in told["ends first"]


def test_programs_get_numbers_and_the_average_makes_the_peak() -> None:
    found = json.loads(plan(*SMALL, "--json").stdout)
    assert found["demand"]["peakEventsPerSecond"] == 60
    assert found["kafka"]["framesPartitions"] == 16
    assert found["redis"]["masters"] == 1
    assert found["holds"] is True
    assert found["ends"] == sorted(found["ends"], key=lambda end: end["eventsPerSecond"])


def test_settings_and_options_say_how_long_things_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    by_default = json.loads(plan(*SMALL, "--json").stdout)["redis"]["bytesByKind"]
    monkeypatch.setenv("TIDEMARK_EVENTS__KEEP_DAYS", "100d")
    by_setting = json.loads(plan(*SMALL, "--json").stdout)["redis"]["bytesByKind"]
    by_option = json.loads(plan(*SMALL, "--keep-days", "2000d", "--json").stdout)["redis"]["bytesByKind"]
    assert by_setting["d"] < by_default["d"] < by_option["d"]
    assert by_setting["x"] == by_default["x"] == by_option["x"]


def test_a_peak_that_cannot_be_counted_ends_with_1_and_says_what_helps() -> None:
    result = plan("--events", "60000", "--users", "2000000", "--organizations", "3", "--node-memory", "4000")
    assert result.exit_code == 1
    assert "no worker may be busier than 60%" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--peak", "3"), "peak (3 events/s) is below the average"),
        (("--peak", "nan"), "Invalid value for '--peak': "),
        (("--peak", "inf"), "Invalid value for '--peak': give a number"),
        (("--growth", "inf"), "Invalid value for '--growth': "),
        (("--organizations", "30000"), "users (20,000) are fewer than organizations"),
        (("--mix", "1:2"), "--mix: '1:2' is no 4 numbers"),
        (("--keep-days", "none"), "--keep-days: what is kept for ever grows for ever"),
        (("--outage", "soon"), "--outage: give a duration such as 35d"),
        (("--measured", "/nowhere.json"), "--measured /nowhere.json: "),
        (("--machine-factor", "2", "--measured", "x"), "give --machine-factor or --measured, not both"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name_and_the_remedy(arguments: tuple[str, ...], words: str) -> None:
    result = plan(*SMALL, *arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.replace("│", " ").split())


def test_what_is_kept_for_ever_by_the_settings_needs_a_time_to_plan_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_AGE", "KEEP_HOURS", "KEEP_DAYS"):
        monkeypatch.setenv(f"TIDEMARK_EVENTS__{name}", "none")
    result = plan(*SMALL)
    assert result.exit_code == 2
    assert "such as --keep-hours 3650d" in " ".join(result.stderr.replace("│", " ").split())
    assert plan(*SMALL, "--keep-hours", "45d", "--keep-days", "900d", "--max-age", "35d").exit_code == 0


def bench_output(file: Path, **spent: object) -> Path:
    costs = {"ingest-0": 13.4, "aggregator-0": 6.6, "redis": 4.2, "broker": 1.3, "all": 25.5} | spent
    found = {"events": 2_000_000, "eventsPerSecond": 80_000, "cpuSecondsPerMillionEvents": costs}
    file.write_text(f"preloaded 2,000,000 events\n{json.dumps(found)}\n")
    return file


def test_the_output_of_make_bench_says_how_fast_a_machine_is(tmp_path: Path) -> None:
    here = json.loads(plan(*SMALL, "--json").stdout)["microsecondsPerEvent"]
    there = json.loads(plan(*SMALL, "--measured", str(bench_output(tmp_path / "bench")), "--json").stdout)
    assert there["microsecondsPerEvent"]["ingest"] == pytest.approx(2 * here["ingest"], rel=0.1)
    assert there["microsecondsPerEvent"]["redis"] == pytest.approx(here["redis"], rel=0.1)


@pytest.mark.parametrize("wrong", [{"redis": 0}, {"redis": "4"}, {"redis": 4.2e6}, {"redis": True}])
def test_output_of_something_else_is_refused_by_its_field(tmp_path: Path, wrong: dict[str, object]) -> None:
    result = plan(*SMALL, "--measured", str(bench_output(tmp_path / "bench", **wrong)))
    assert result.exit_code == 2
    assert "cpuSecondsPerMillionEvents.redis: " in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize("text", ["", "no json", "[1]", "{}"])
def test_a_file_without_figures_is_refused_with_how_to_make_one(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bench"
    file.write_text(text)
    result = plan(*SMALL, "--measured", str(file))
    assert result.exit_code == 2
    assert "make bench ARGS=--json" in " ".join(result.stderr.replace("│", " ").split())

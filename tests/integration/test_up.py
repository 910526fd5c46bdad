"""`tidemark up` on the embedded servers, as a process: what it writes, restarts, and leaves behind."""

import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.health_probe import readiness
from tests.support.pipeline import (
    START_SECONDS,
    STOP_SECONDS,
    TIDEMARK,
    PipelineUnderTest,
    await_condition,
    clean_environment,
    is_alive,
    running_pipeline,
)

pytestmark = pytest.mark.integration

RESTART_SECONDS = 60
"""The broker waits for the dead one's session to end, and a busy machine starts a process in many seconds."""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PipelineUnderTest]:
    with running_pipeline(tmp_path_factory.mktemp("up"), None, None) as running:
        yield running


@pytest.fixture
def raw_up(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """An `up` that the test ends itself; ready when handed over."""
    state_file = tmp_path / "state.json"
    process = subprocess.Popen(
        [*TIDEMARK, "up", "--state-file", str(state_file), "--log-dir", str(tmp_path / "logs")],
        env=clean_environment({"TMPDIR": str(tmp_path)}),  # a killed one cannot take its temporary files away
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        await_condition(state_file.exists, "the state file", seconds=START_SECONDS)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def pids_of(state_file: Path) -> dict[str, list[int]]:
    pids: dict[str, list[int]] = json.loads(state_file.read_text())["pids"]
    return pids


def test_the_first_line_says_what_this_broker_is_not_good_for(pipeline: PipelineUnderTest) -> None:
    first = (pipeline.directory / "up.log").read_text().splitlines()[0]
    assert "trying out" in first
    assert "in memory and starts empty each time, as its Redis does" in first


async def test_the_state_file_says_where_everything_is_and_who_may_read_it(pipeline: PipelineUnderTest) -> None:
    state = pipeline.state()
    assert stat.S_IMODE(pipeline.state_file.stat().st_mode) == 0o600
    assert {role: len(pids) for role, pids in state["pids"].items()} == dict.fromkeys(state["pids"], 1)
    assert set(state["pids"]) == {"ingest", "aggregator", "api", "broker", "redis"}
    assert all(is_alive(pid) for pids in state["pids"].values() for pid in pids)
    assert state["environment"]["TIDEMARK_KAFKA__IDEMPOTENCE"] == "False"
    assert state["redis"] == state["environment"]["TIDEMARK_REDIS__URL"]
    assert [await readiness(each) for addresses in state["health"].values() for each in addresses] == [None] * 3


@pytest.mark.parametrize("role", ["api", "ingest"])
def test_a_killed_role_is_running_again_and_the_state_file_knows(pipeline: PipelineUnderTest, role: str) -> None:
    (first,) = pipeline.pids(role)
    os.kill(first, signal.SIGKILL)
    await_condition(
        lambda: pipeline.pids(role) not in ([], [first]) and bool(pipeline.state()["health"][role]),
        f"{role} is ready again",
        seconds=RESTART_SECONDS,
    )
    await_condition(
        lambda: f"{role} (pid {pipeline.pids(role)[0]}) is ready again" in (pipeline.directory / "up.log").read_text(),
        "it says so",
        seconds=RESTART_SECONDS,
    )
    assert f"{role} (pid {first}) was killed by SIGKILL" in (pipeline.directory / "up.log").read_text()


def test_lag_and_wait_and_check_find_the_pipeline_by_its_state_file(pipeline: PipelineUnderTest) -> None:
    pipeline.run("wait", "--caught-up", "--timeout", "30")
    rows = json.loads(pipeline.run("lag", "--json").out)
    assert {row["topic"] for row in rows} == {pipeline.topics[name] for name in ("events", "directory", "frames")}
    assert all(row["lag"] is not None for row in rows)
    assert json.loads(pipeline.run("topics", "check", "--json").out) == {"differences": []}
    assert pipeline.run("dead-letters", "list", "--json").out == ""


def test_an_embedded_server_that_dies_ends_it_with_a_sentence(raw_up: subprocess.Popen[str], tmp_path: Path) -> None:
    pids = pids_of(tmp_path / "state.json")
    os.kill(pids["broker"][0], signal.SIGKILL)
    _, err = raw_up.communicate(timeout=STOP_SECONDS)
    assert raw_up.returncode == 1
    assert "the embedded broker was killed by SIGKILL: what it held in memory is gone, so the pipeline ends" in err
    assert not any(is_alive(pid) for of_role in pids.values() for pid in of_role)
    assert not (tmp_path / "state.json").exists()


def test_a_killed_up_takes_everything_with_it(raw_up: subprocess.Popen[str], tmp_path: Path) -> None:
    pids = [pid for of_role in pids_of(tmp_path / "state.json").values() for pid in of_role]
    raw_up.kill()
    raw_up.wait()
    await_condition(lambda: not any(is_alive(pid) for pid in pids), "all that it started is gone", seconds=STOP_SECONDS)


def test_sigterm_ends_it_with_0_and_leaves_nothing(raw_up: subprocess.Popen[str], tmp_path: Path) -> None:
    pids = [pid for of_role in pids_of(tmp_path / "state.json").values() for pid in of_role]
    raw_up.terminate()
    raw_up.communicate(timeout=STOP_SECONDS)
    assert raw_up.returncode == 0
    assert not any(is_alive(pid) for pid in pids)
    assert not (tmp_path / "state.json").exists()

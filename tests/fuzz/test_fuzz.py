"""What a run must show; `make fuzz` runs this file."""

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import httpx
import pytest

from services.api_keys import make_key
from services.clock import now_ms
from tests.fuzz import world
from tests.fuzz.identities import kept_api_key, make_callers, write_callers
from tests.fuzz.jobs import ANSWERED_MIN, CASES_MIN, jobs
from tests.fuzz.reports import OK, Tally
from tests.fuzz.running import Target, run_jobs
from tests.support.api_process import PATIENT, ApiProcess
from tests.support.servers import Redis

# The first test that asks for the run waits for all of it.
pytestmark = pytest.mark.timeout(1_800)

_SHOWN_FINDINGS = 30

# Before anything else the engine sends a NUL in a header, which the server refuses before the app sees it.
# No broker runs here: that lag is therefore unknown the API says, and again only when Redis too is away or back.
_LOGGED = {"listening", "Invalid HTTP request received.", "lag_unknown"}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Run:
    """A whole run, and what the API logged meanwhile."""

    operations: set[str]
    tally: Tally
    log: str


@pytest.fixture(scope="session")
def run(redis_server: Redis, tmp_path_factory: pytest.TempPathFactory) -> Run:
    directory = tmp_path_factory.mktemp("fuzz")
    started_ms, api_key = now_ms(), make_key()
    asyncio.run(world.populate(redis_server.url, started_ms, (api_key.hash, kept_api_key(api_key, started_ms))))
    write_callers(directory, make_callers(api_key, started_ms))
    api = ApiProcess(redis_server.url, directory, **PATIENT)
    try:
        api.wait()
        operations = _operations(api.url)
        with_parameters = sum(operations.values())
        started_s = time.monotonic()
        target = Target(url=api.url, directory=directory)
        tally = asyncio.run(run_jobs(jobs(with_parameters), target, _tell))
        rate = tally.cases.total() / (time.monotonic() - started_s)
        _tell(f"{tally.table()}\nthe other organization tried {tally.peers_tried} times; {rate:.0f} cases/s")
    finally:
        log = api.stop()
    return Run(operations=set(operations), tally=tally, log=log)


def _operations(url: str) -> dict[str, bool]:
    """Return every operation of the served document, and whether it takes parameters."""
    paths = httpx.get(f"{url}/openapi.json").raise_for_status().json()["paths"]
    return {
        f"{method.upper()} {path}": "parameters" in operation
        for path, operations in paths.items()
        for method, operation in operations.items()
    }


def _tell(text: str) -> None:
    sys.stdout.write(f"\n{text}")
    sys.stdout.flush()


def test_nothing_is_found(run: Run) -> None:
    firsts = {finding.kind: finding for finding in reversed(run.tally.findings)}
    counts = Counter(finding.kind for finding in run.tally.findings)
    texts = [f"{count} times, first\n{firsts[kind].text()}" for kind, count in counts.most_common(_SHOWN_FINDINGS)]
    assert not texts, f"{len(counts)} kinds of findings\n\n" + "\n\n".join(texts)


def test_there_were_enough_cases(run: Run) -> None:
    assert run.tally.cases.total() >= CASES_MIN


def test_every_operation_was_asked_and_answered(run: Run) -> None:
    assert set(run.tally.cases) == run.operations
    assert {name for name in run.operations if not run.tally.of(name, OK)} == set()


def test_every_phase_that_finds_cases_by_itself_had_some(run: Run) -> None:
    assert {phase for phase, cases in run.tally.phases.items() if cases} >= {"coverage", "fuzzing", "stateful"}


def test_what_the_caller_owns_was_asked_for_by_the_other_organization(run: Run) -> None:
    assert run.tally.peers_tried > 0


def test_enough_answers_are_200(run: Run) -> None:
    assert run.tally.answered >= ANSWERED_MIN


def test_the_api_had_nothing_to_log(run: Run) -> None:
    lines = [json.loads(line) for line in run.log.splitlines()]
    assert [line for line in lines if line["event"] not in _LOGGED] == []
    redis_away = [line["redis"] is not None for line in lines if line["event"] == "lag_unknown"]
    assert all(before is not after for before, after in pairwise(redis_away))

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.counters import StoreRefused
from services.lifecycle import Exit, Refused, run

ROOT = Path(__file__).parents[3]


def test_the_code_of_the_role_is_the_code_of_the_run() -> None:
    async def main() -> int:
        return 0

    assert run(main) == Exit.ORDERED_STOP


@pytest.mark.parametrize("error", [Refused("GAP: run tidemark rebuild"), StoreRefused("GAP: run tidemark rebuild")])
def test_a_refusal_is_3_and_one_sentence(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> int:
        raise error

    assert run(main) == Exit.REFUSED
    assert capsys.readouterr().err == "GAP: run tidemark rebuild\n"


def test_a_refusal_in_a_group_of_tasks_is_still_a_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> int:
        raise ExceptionGroup("tasks", [ExceptionGroup("inner", [Refused("GAP")])])

    assert run(main) == Exit.REFUSED
    assert capsys.readouterr().err == "GAP\n"


def test_a_bug_is_1_even_beside_a_refusal() -> None:
    async def main() -> int:
        raise ExceptionGroup("tasks", [Refused("GAP"), KeyError("bug")])

    assert run(main) == Exit.BUG


ROLE = """
import asyncio, sys, time
from services.lifecycle import run, stop_on_signals
from services.telemetry import configure_logs

async def main():
    stop = await stop_on_signals()
    print("up", flush=True)
    await stop.wait()
    {ending}
    return 0

configure_logs("test")
sys.exit(run(main, deadline_s={deadline}))
"""


@contextmanager
def started(ending: str, deadline: float) -> Iterator[subprocess.Popen[str]]:
    code = ROLE.format(ending=ending, deadline=deadline)
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_role_in_order(number: signal.Signals) -> None:
    with started("print('stopped')", 20) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (out, err, process.returncode) == ("stopped\n", "", 0)


def test_a_stop_that_blocks_the_event_loop_ends_at_the_deadline() -> None:
    with started("time.sleep(600)", 0.2) as process:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 1


def test_an_exception_is_logged_once_with_its_traceback() -> None:
    with started("raise ValueError('broken')", 20) as process:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    (line,) = err.splitlines()
    assert process.returncode == 1
    assert json.loads(line)["event"] == "role_failed"
    assert "ValueError: broken" in json.loads(line)["exception"]

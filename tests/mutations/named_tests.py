"""Runs tests by their node ids in a tree, and tells how each of them ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

RUN_SECONDS: Final = 400
END_SECONDS: Final = 40
"""What a run that is told to end may take to stop the servers that it started."""

_SEEDED: Final = ("-p", "no:randomly", "-p", "no:cacheprovider", "--hypothesis-seed=0")
_HOW: Final = ("error", "failure", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test with its parameters. `how`: `passed`, or `error`, `failure` or `skipped`, and then what it `said`."""

    name: str
    how: str
    said: str = ""


class Ran:
    """What became of the tests that were asked for."""

    def __init__(self, cases: Sequence[Case], output: str) -> None:
        self.output = output
        self._cases = cases

    def of(self, test: str) -> list[Case]:
        """Return the cases of a node id: with parameters one, without them or of a file all; none if not run."""
        name = _junit_name(test)
        return [case for case in self._cases if case.name == name or case.name.startswith((f"{name}[", f"{name}::"))]


def run_tests(tree: Path, tests: Iterable[str]) -> Ran:
    """Run tests in one process, seeded, and return how they ended."""
    report, log = tree.parent / "report.xml", tree.parent / "pytest.log"
    command = [sys.executable, "-m", "pytest", "--quiet", *_SEEDED, f"--junit-xml={report}", *dict.fromkeys(tests)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=tree,
            env=environment | {"PYTHONPATH": str(tree)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _await_end(process)
    return Ran(_read(report), log.read_text(errors="replace"))


def _await_end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a run; one that takes too long, or that nobody waits for any more, ends in order if it can."""
    try:
        process.wait(RUN_SECONDS)
    except subprocess.TimeoutExpired:
        _end(process)
    except BaseException:
        _end(process)
        raise


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _read(report: Path) -> list[Case]:
    if not report.exists():
        return []
    return [_case(found) for found in ET.parse(report).iter("testcase")]


def _case(found: ET.Element) -> Case:
    name = f"{found.get('classname')}::{found.get('name')}"
    for how in _HOW:
        if (outcome := found.find(how)) is not None:
            return Case(name=name, how=how, said=outcome.get("message", ""))
    return Case(name=name, how="passed")


def _junit_name(test: str) -> str:
    file, colons, name = test.partition("::")
    return f"{file.removesuffix('.py').replace('/', '.')}{colons}{name}"

"""A wall clock that a test sets for single processes: Python's `sitecustomize` moves what `time` tells there."""

from pathlib import Path
from typing import Final

from tests.support.pipeline import ROOT

_SHIFT: Final = """
import os
import time

_wall_s, _wall_ns = time.time, time.time_ns


def _shift_s():
    with open(os.environ["CLOCK_SHIFT"]) as file:
        return int(file.read())


time.time = lambda: _wall_s() + _shift_s()
time.time_ns = lambda: _wall_ns() + _shift_s() * 1_000_000_000
"""


class ShiftedClock:
    """The clock of every process that is started with `environment`; `step` moves it while they run."""

    def __init__(self, directory: Path, seconds: int) -> None:
        directory.mkdir()
        (directory / "sitecustomize.py").write_text(_SHIFT)
        self._file = directory / "shift"
        self.environment = {
            "PYTHONPATH": f"{directory}:{ROOT}",
            "CLOCK_SHIFT": str(self._file),
            "AIOKAFKA_NO_EXTENSIONS": "1",
        }
        self.step(seconds)

    def step(self, seconds: int) -> None:
        """Set by how much the clock differs from the true one from now on."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.replace(self._file)

"""Starts the other traffic as a process of its own (`tests.bench.latency.traffic`), which is to cost little."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.pipeline import ROOT, clean_environment


@contextmanager
def traffic_of(bootstrap: str, topic: str, file: Path, rate: int) -> Iterator[subprocess.Popen[str]]:
    """Send a file's lines at a rate while the block runs; the process ends before where the file does."""
    command = [sys.executable, "-m", "tests.bench.latency.traffic", bootstrap, topic, str(file), str(rate)]
    process = subprocess.Popen(command, cwd=ROOT, env=clean_environment({}), stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()

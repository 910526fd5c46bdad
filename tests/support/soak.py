"""Runs `python -m tests.faults.soak` as a child, which takes its servers along when it is ended."""

import subprocess
import sys

from tests.support.pipeline import ROOT, clean_environment

MINUTES = 1
LIMIT_SECONDS = 60 * MINUTES + 360


def soak(seed: int, *options: str) -> str:
    """Return its report.

    Raises:
        AssertionError: something was different, or not explained.
    """
    command = [sys.executable, "-m", "tests.faults.soak", "--seed", str(seed), "--minutes", str(MINUTES), *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=clean_environment({})
    ) as process:
        try:
            out, err = process.communicate(timeout=LIMIT_SECONDS)
        except BaseException:
            process.terminate()
            raise
    assert process.returncode == 0, f"{out}\n{err}"
    assert out.rstrip().endswith("RIGHT")
    return out

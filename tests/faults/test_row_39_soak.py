"""Row 39: faults drawn from a seed over the whole system under load; an hour of it is run by hand (proof.md)."""

import subprocess
import sys

import pytest

from tests.support.pipeline import ROOT, clean_environment

MINUTES = 1

pytestmark = [pytest.mark.faults, pytest.mark.guarantee, pytest.mark.timeout(60 * MINUTES + 240)]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_soak_ends_with_nothing_different_and_nothing_unexplained(seed: int) -> None:
    command = [sys.executable, "-m", "tests.faults.soak", "--seed", str(seed), "--minutes", str(MINUTES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=clean_environment({}))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.rstrip().endswith("RIGHT")

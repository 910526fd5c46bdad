"""Row 39: faults drawn from a seed over the whole system under load; an hour of it is run by hand (proof.md)."""

import subprocess
import sys

import pytest

from tests.support.pipeline import ROOT, clean_environment

MINUTES = 1
LIMIT_SECONDS = 60 * MINUTES + 240

pytestmark = [pytest.mark.faults, pytest.mark.guarantee, pytest.mark.timeout(LIMIT_SECONDS + 60)]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_soak_ends_with_nothing_different_and_nothing_unexplained(seed: int) -> None:
    command = [sys.executable, "-m", "tests.faults.soak", "--seed", str(seed), "--minutes", str(MINUTES)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=clean_environment({})
    ) as process:
        try:
            out, err = process.communicate(timeout=LIMIT_SECONDS)
        except BaseException:
            process.terminate()  # it takes its servers along
            raise
    assert process.returncode == 0, f"{out}\n{err}"
    assert out.rstrip().endswith("RIGHT")

"""`tidemark demo --once`, as the first thing that anybody runs: off a terminal, in an empty directory."""

import subprocess
from pathlib import Path

import pytest

from tests.support.pipeline import TIDEMARK, clean_environment

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(scope="module")
def demo(directory: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*TIDEMARK, "demo", "--once", "--seconds", "2"],
        env=clean_environment({}),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_the_demo_ends_by_itself_with_equal_totals(demo: "subprocess.CompletedProcess[str]") -> None:
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "trying out" in demo.stdout.splitlines()[0]
    last = demo.stdout.splitlines()[-1]
    assert last.startswith("equal: ")
    assert "copies not" in last
    assert "not equal" not in demo.stdout
    assert "sent the organizations, teams and users: 4" in demo.stdout


def test_the_demo_leaves_the_directory_as_it_was(demo: "subprocess.CompletedProcess[str]", directory: Path) -> None:
    assert demo.returncode == 0
    assert list(directory.iterdir()) == []

"""deploy/setup.sh on machines that it cannot serve, played by scripts that stand for their Pythons."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "deploy/setup.sh"
_TOOLS = ("sh", "cat", "cksum", "dirname", "rm")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A tree with the script and a PATH of its own, `bin`, that has no Python."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "requirements").mkdir()
    (tmp_path / "bin").mkdir()
    shutil.copy(SCRIPT, tmp_path / "deploy/setup.sh")
    (tmp_path / "requirements/dev.lock").touch()
    (tmp_path / "pyproject.toml").touch()
    for tool in _TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def python_that_says(machine: Path, name: str, facts: str, *, code: int = 0) -> None:
    """Put a Python there that answers the script's question with `facts`, and makes any environment at once."""
    making = '/bin/mkdir -p "$4/bin"; printf "#!/bin/sh\\nexit 0\\n" > "$4/bin/python"; /bin/chmod +x "$4/bin/python"'
    path = machine / "bin" / name
    path.write_text(f'#!/bin/sh\nif [ "$1" = -m ]; then {making}; exit 0; fi\necho "{facts}"\nexit {code}\n')
    path.chmod(0o755)


def set_up(machine: Path) -> tuple[int, str]:
    """Return the script's exit code and what it wrote to stderr."""
    environment = {"PATH": str(machine / "bin"), "HOME": os.environ.get("HOME", "/")}
    command = ["/bin/sh", str(machine / "deploy/setup.sh")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, done.stderr


def assert_one_sentence(machine: Path, *words: str) -> None:
    code, said = set_up(machine)
    assert code == 1
    assert said.count("\n") == 1
    assert said.endswith(".\n")
    assert all(word in said for word in words), said


def test_without_python_one_sentence_says_what_to_install(machine: Path) -> None:
    assert_one_sentence(machine, "no working Python", "apt-get install")


def test_a_shim_that_fails_is_no_python(machine: Path) -> None:
    python_that_says(machine, "python3.13", "", code=127)
    assert_one_sentence(machine, "no working Python")


def test_an_old_python3_is_no_python(machine: Path) -> None:
    python_that_says(machine, "python3", "3.9 ensurepip glibc 2.36 linux-x86_64")
    assert_one_sentence(machine, "no working Python")


def test_without_ensurepip_one_sentence_names_the_package(machine: Path) -> None:
    python_that_says(machine, "python3.12", "3.12 bare glibc 2.36 linux-x86_64")
    assert_one_sentence(machine, "install python3.12-venv")


def test_musl_is_refused(machine: Path) -> None:
    python_that_says(machine, "python3.12", "3.12 ensurepip musl 0 linux-x86_64")
    assert_one_sentence(machine, "musl", "Debian container")


def test_a_glibc_older_than_the_wheels_is_refused(machine: Path) -> None:
    python_that_says(machine, "python3.12", "3.12 ensurepip glibc 2.27 linux-x86_64")
    assert_one_sentence(machine, "2.28", "2.27")


@pytest.mark.parametrize("processor", ["i686", "armv7l", "riscv64"])
def test_a_processor_without_wheels_is_refused(machine: Path, processor: str) -> None:
    python_that_says(machine, "python3.11", f"3.11 ensurepip glibc 2.36 linux-{processor}")
    assert_one_sentence(machine, processor, "x86_64 and aarch64")


@pytest.mark.parametrize("processor", ["x86_64", "aarch64"])
def test_the_newest_tested_python_that_runs_is_taken(machine: Path, processor: str) -> None:
    python_that_says(machine, "python3.13", "", code=127)
    for version in ("3.12", "3.11"):
        python_that_says(machine, f"python{version}", f"{version} ensurepip glibc 2.36 linux-{processor}")
    assert set_up(machine) == (0, "")
    assert (machine / ".venv/.tidemark-setup").read_text().endswith("3.12\n")


def test_a_newer_python_is_taken_with_a_line_that_it_is_untested(machine: Path) -> None:
    python_that_says(machine, "python3", "3.14 ensurepip glibc 2.41 linux-aarch64")
    assert set_up(machine) == (0, "setup: Python 3.14 is untested; 3.11 to 3.13 are tested.\n")

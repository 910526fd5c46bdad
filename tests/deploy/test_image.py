"""The image, its steps replayed: what is in it, and what its user can do."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.markers import Marker, default_environment

from tests.deploy.composition import ROOT
from tests.deploy.replay import Built
from tests.deploy.tree import BASE, is_root

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(300)]

MEBIBYTE = 1 << 20
SIZE_MAX = 200 * MEBIBYTE
"""Over the base; 180 MiB when this was written, of which compiled libraries are 98 and bytecode 37."""


def in_tree(built: Built, *program: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
    image = built.image
    return built.tree.run(program, built.environment({}), user=user or image.user, workdir=image.workdir)


@pytest.mark.parametrize("lock", ["runtime", "build"])
def test_each_package_has_a_wheel_for_the_python_of_the_base(lock: str) -> None:
    """The replay runs on this machine's Python; the base's has files of its own among those that the lock names."""
    found = re.search(r"^ARG BASE=python:(3\.\d+)-slim", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--dry-run", "--target", "/nowhere"]
    base = ["--python-version", found[1], "--python-platform", "x86_64-manylinux_2_28", "--only-binary", ":all:"]
    names = ["--no-deps", "--require-hashes", "--requirement", str(ROOT / f"requirements/{lock}.lock")]
    done = subprocess.run([*uv, *base, *names], capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr


def version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def test_it_is_this_version(built: Built) -> None:
    done = in_tree(built, *built.image.entrypoint, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{version()}\n", "")


def test_without_a_command_it_says_what_there_is(built: Built) -> None:
    done = in_tree(built, *built.image.entrypoint, *built.image.command)
    assert done.returncode == 0
    assert "tidemark run ingest" in " ".join(done.stdout.split())


def test_it_holds_what_the_lock_names_and_our_packages_and_nothing_else(built: Built) -> None:
    listing = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()), sep='\\n')"
    done = in_tree(built, "python", "-c", listing)
    found = {_canonical(line) for line in done.stdout.split()}
    wanted = set(locked("runtime")) | {f"tidemark-usage=={version()}"}
    assert found == wanted
    top = {path.name for path in built.tree.root.iterdir() if path.is_dir() and list(path.iterdir())}
    assert top <= {"opt", BASE, "root", "run"}
    assert [path.name for path in built.tree.path("/opt").iterdir()] == ["tidemark"]


def test_tests_caches_and_installers_are_left_out_and_bytecode_is_in(built: Built) -> None:
    ours = built.tree.path("/opt/tidemark")
    assert not [path for path in ours.rglob("tests") if path.is_dir()]
    assert not (ours / "bin/pip").exists()
    sources = [path for path in ours.rglob("*.py") if "site-packages" in path.parts]
    compiled = {path.name.partition(".")[0] for path in ours.rglob("*.pyc")}
    assert sources
    assert {path.stem for path in sources} <= compiled


def test_it_stays_small(built: Built) -> None:
    files = (path for path in built.tree.path("/opt/tidemark").rglob("*") if path.is_file() and not path.is_symlink())
    assert sum(path.stat().st_size for path in files) < SIZE_MAX


@pytest.mark.skipif(not is_root(), reason="without root the namespace has one user, to whom all belongs")
def test_nothing_in_it_belongs_to_its_user(built: Built) -> None:
    """Were the root not read-only, the code could not be changed all the same."""
    image = built.image
    search = ["find", "/opt", "-writable", "-not", "-type", "l"]
    found = built.tree.run(search, built.environment({}), user=image.user, writable=True)
    assert (found.returncode, found.stdout) == (0, "")


def test_nothing_but_tmp_can_be_written(built: Built) -> None:
    for place in ("/", "/opt/tidemark"):
        assert "Read-only file system" in in_tree(built, "touch", f"{place}/here", user="0:0").stderr, place
    assert in_tree(built, "touch", "/tmp/here").returncode == 0


def locked(name: str) -> list[str]:
    """Return what a lock installs here, `name==version`."""
    entries = re.findall(
        r"^([a-zA-Z0-9._-]+==\S+)(?: ; (.+?))? \\$", (ROOT / f"requirements/{name}.lock").read_text(), re.MULTILINE
    )
    here = {key: str(value) for key, value in default_environment().items()}
    return [_canonical(entry) for entry, marker in entries if not marker or Marker(marker).evaluate(here)]


def _canonical(entry: str) -> str:
    name, _, version = entry.partition("==")
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"

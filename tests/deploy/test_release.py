"""The release: made twice, in other places and at another time, it is the same bytes, and holds what it says."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from services.release import running_version
from tests.support.pipeline import ROOT, clean_environment

pytestmark = pytest.mark.deploy

MAKE = (sys.executable, "-m", "deploy.release")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
YEAR_S = 365 * 86_400

_LATER = f"""
import time
_now, _now_ns = time.time, time.time_ns
time.time = lambda: _now() + {YEAR_S}
time.time_ns = lambda: _now_ns() + {YEAR_S} * 10**9
"""
"""The clock of the second run, by Python's `sitecustomize`."""


def made(out: Path, root: Path, *, umask: int, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*MAKE, "--root", root, "--out", out],
        cwd=ROOT,
        env=clean_environment(variables),
        umask=umask,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


def clone_to(place: Path) -> Path:
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, place], check=True, timeout=60)
    return place


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a release of the last commit, as `make release` puts them."""
    out = tmp_path_factory.mktemp("release") / "dist"
    made(out, ROOT, umask=0o022)
    return out


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_made_elsewhere_at_another_time_under_another_umask_it_is_the_same_bytes(
    released: Path, tmp_path: Path
) -> None:
    clock = tmp_path / "clock"
    clock.mkdir()
    (clock / "sitecustomize.py").write_text(_LATER)
    scratch = tmp_path / "scratch of another name"
    scratch.mkdir()
    clone = clone_to(tmp_path / "elsewhere/clone")
    for path in clone.rglob("*.py"):
        os.utime(path, (time.time(), time.time() - 1_000_000))
    made(
        tmp_path / "again",
        clone,
        umask=0o077,
        PYTHONPATH=f"{clock}:{ROOT}",
        TMPDIR=str(scratch),
        TZ="Asia/Tokyo",
        LC_ALL="C",
        PYTHONHASHSEED="7",
    )
    assert contents(released) == contents(tmp_path / "again")


def test_the_sums_are_those_of_the_files(released: Path) -> None:
    checked = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"], cwd=released, capture_output=True, text=True, check=True
    )
    assert checked.stdout.count(": OK") == len(contents(released)) - 1
    names = {path.name for path in released.iterdir()}
    assert {f"tidemark_usage-{VERSION}-py3-none-any.whl", f"tidemark_usage-{VERSION}.tar.gz"} < names
    assert f"tidemark-usage-{VERSION}.cdx.json" in names


def test_the_wheel_and_the_sdist_say_the_commits_time_and_nobodys_permissions(released: Path) -> None:
    committed_s = int(subprocess.check_output(["git", "log", "-1", "--format=%ct"], cwd=ROOT))
    with zipfile.ZipFile(next(released.glob("*.whl"))) as wheel:
        # A zip file's times are even seconds.
        assert {entry.date_time for entry in wheel.infolist()} <= {
            time.gmtime(committed_s - at)[:6] for at in (0, committed_s % 2)
        }
        assert {entry.external_attr >> 16 & 0o777 for entry in wheel.infolist()} <= {0o644, 0o755}
    with tarfile.open(next(released.glob("*.tar.gz"))) as sdist:
        members = sdist.getmembers()
    assert {member.mtime for member in members} == {committed_s}
    assert {(member.uid, member.gid, member.uname, member.gname) for member in members} == {(0, 0, "", "")}
    assert {member.mode & 0o777 for member in members if member.isfile()} <= {0o644, 0o755}
    assert not [member.name for member in members if "/.git/" in member.name or "__pycache__" in member.name]


def test_the_version_stands_in_one_place(released: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(next(released.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path)
    command = [sys.executable, "-P", "-m", "services.cli.main", "--version"]
    said = subprocess.check_output(
        command, env=clean_environment({"PYTHONPATH": str(tmp_path)}), text=True, cwd=tmp_path
    )
    assert said.strip() == VERSION == running_version()


def test_the_bill_lists_each_pin_of_the_lock_and_the_wheel_by_its_hash(released: Path) -> None:
    bill: dict[str, Any] = json.loads(next(released.glob("*.cdx.json")).read_text())
    locked = [
        line.split()[0]
        for line in (ROOT / "requirements/runtime.lock").read_text().splitlines()
        if "==" in line.split()[0]
    ]
    assert [f"{each['name']}=={each['version']}" for each in bill["components"]] == locked
    sums = {name: digest for digest, name in map(str.split, (released / "SHA256SUMS").read_text().splitlines())}
    subject = bill["metadata"]["component"]
    [named] = subject["properties"]
    assert sums[named["value"]] == subject["hashes"][0]["content"]
    [needs] = bill["dependencies"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert len(needs["dependsOn"]) >= len(project["dependencies"])


def test_what_is_not_ready_is_refused_with_one_sentence_and_writes_nothing(tmp_path: Path) -> None:
    clone = clone_to(tmp_path / "clone")
    out = tmp_path / "dist"
    edited(clone, "CHANGELOG.md", {f"## [{VERSION}] - ": f"## {VERSION} - "})
    assert "not committed, and so not in it: CHANGELOG.md" in made(out, clone, umask=0o022).stderr
    shutil.rmtree(out)
    commit(clone)
    assert_refused(made(out, clone, umask=0o022, code=1), f"no section `## [{VERSION}]")
    assert not out.exists()
    assert_refused(made(out, tmp_path, umask=0o022, code=1), "a release is made of a commit")


def test_a_directory_that_holds_another_release_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "dist"
    out.mkdir()
    (out / "tidemark_usage-0.0.1.tar.gz").touch()
    assert_refused(made(out, ROOT, umask=0o022, code=1), "tidemark_usage-0.0.1.tar.gz, which is not of this release")
    assert [path.name for path in out.iterdir()] == ["tidemark_usage-0.0.1.tar.gz"]


def edited(clone: Path, name: str, changes: Mapping[str, str]) -> None:
    text = (clone / name).read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (clone / name).write_text(text)


def commit(clone: Path) -> None:
    who = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")
    subprocess.run(["git", *who, "commit", "--quiet", "--all", "--message", "edited"], cwd=clone, check=True)


def assert_refused(done: subprocess.CompletedProcess[str], said: str) -> None:
    [sentence] = [line for line in done.stderr.splitlines() if not line.startswith("release: not committed")]
    assert said in sentence

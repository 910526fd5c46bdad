"""The release before this one: the wheel of an earlier commit, unpacked, for old processes beside new ones."""

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.support.pipeline import ROOT

PRODUCT = ("services", "ingest", "aggregator", "query_api")
LABEL = "+previous"
"""Behind the version of the old wheel, so that a process can be seen to run it."""


class NoHistory(Exception):
    """There is no earlier commit here; the message says why."""


def previous_commit() -> str:
    """Return the last tag before this commit, else the commit before the last one that changed the product.

    Of a merge the first parent counts: what the main line was before it.

    Raises:
        NoHistory: this is no clone, or one that was cut off before that.
    """
    if _git("rev-parse", "--git-dir") is None:
        raise NoHistory("this tree is no clone: there is no earlier commit to build")
    if tag := _git("describe", "--tags", "--abbrev=0", "HEAD^"):
        return tag
    changed = _git("log", "--first-parent", "-1", "--format=%H", "--", *PRODUCT, "pyproject.toml")
    before = changed and _git("rev-parse", "--verify", f"{changed}^")
    if not before:
        raise NoHistory("this clone is shallow: there is no earlier commit to build; fetch its history")
    return before


def is_shallow() -> bool:
    return _git("rev-parse", "--is-shallow-repository") != "false"


def unpacked_wheel(commit: str, directory: Path) -> tuple[Path, str]:
    """Build a commit's wheel; return the directory to put into PYTHONPATH, and the version that it says."""
    tree, built, unpacked = (directory / name for name in ("tree", "built", "unpacked"))
    tree.mkdir()
    archive = subprocess.check_output(["git", "archive", "--format=tar", commit], cwd=ROOT)
    subprocess.run(["tar", "-x", "-C", tree], input=archive, check=True)
    project = tree / "pyproject.toml"
    [line] = [each for each in project.read_text().splitlines() if each.startswith('version = "')]
    version = line.removeprefix('version = "').removesuffix('"') + LABEL
    project.write_text(project.read_text().replace(line, f'version = "{version}"'))
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", built, tree], check=True, timeout=60)
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(unpacked)
    return unpacked, version


def _git(*arguments: str) -> str | None:
    """Return what git says, None where it refuses."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None

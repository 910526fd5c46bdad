"""Makes the files of a release out of what a commit holds, in a tree of their own."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from email.parser import BytesHeaderParser
from hashlib import sha256
from pathlib import Path
from typing import Final

from deploy.release.archive import archive_of
from deploy.release.bill import Wheel, bill_of
from deploy.release.lock_file import read_lock
from deploy.release.versions import NotReady, check_changelog, check_chart

CHART: Final = Path("deploy/helm/tidemark")
LOCK: Final = Path("requirements/runtime.lock")
SUMS: Final = "SHA256SUMS"


def uncommitted(root: Path) -> list[str]:
    """Return what a release would leave out: files that differ from the last commit, or are not in it."""
    return [line[3:] for line in _git(root, "status", "--porcelain").decode().splitlines()]


def make(root: Path, scratch: Path) -> dict[str, bytes]:
    """Return name -> contents of each file of the release of the last commit of a clone.

    Args:
        root: of the clone.
        scratch: an empty directory, for the tree and what is built of it.

    Raises:
        NotReady: changelog or chart do not go with the version, or this is no clone.
    """
    made_s = int(_git(root, "log", "-1", "--format=%ct"))
    tree = scratch / "tree"
    tree.mkdir()
    subprocess.run(["tar", "-x", "-C", tree], input=_git(root, "archive", "--format=tar", "HEAD"), check=True)
    version = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    check_changelog((tree / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    files = _distributions(tree, scratch / "built", made_s)
    wheel = next(name for name in files if name.endswith(".whl"))
    files[f"tidemark-usage-{version}.cdx.json"] = _bill(tree, scratch / "built" / wheel, made_s)
    if (tree / CHART).is_dir():
        check_chart((tree / CHART / "Chart.yaml").read_text(encoding="utf-8"), version)
        files[f"tidemark-{version}.tgz"] = archive_of(tree / CHART, "tidemark", made_s)
    return files | {SUMS: _sums(files)}


def _git(root: Path, *arguments: str) -> bytes:
    try:
        return subprocess.run(["git", "-C", root, *arguments], capture_output=True, check=True).stdout
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise NotReady(f"a release is made of a commit, and git says of {root}: {said}") from error


def _distributions(tree: Path, built: Path, made_s: int) -> dict[str, bytes]:
    """Build sdist and wheel. The tools are those of `requirements/dev.lock`, of which the bytes depend."""
    building = [sys.executable, "-m", "hatchling", "build", "--directory", str(built)]
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(made_s)}
    done = subprocess.run(building, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotReady(f"the wheel cannot be built: {done.stderr.strip().rpartition(chr(10))[2]}")
    return {path.name: path.read_bytes() for path in sorted(built.iterdir())}


def _bill(tree: Path, wheel: Path, made_s: int) -> bytes:
    with zipfile.ZipFile(wheel) as packed:
        name = next(each for each in packed.namelist() if each.endswith(".dist-info/METADATA"))
        told = BytesHeaderParser().parsebytes(packed.read(name))
    needs = [text for text in told.get_all("Requires-Dist", []) if "extra ==" not in text]
    described = Wheel(
        name=told["Name"],
        version=told["Version"],
        license=told["License-Expression"],
        file=wheel.name,
        digest=sha256(wheel.read_bytes()).hexdigest(),
        needs=sorted({_name(text) for text in needs}),
    )
    bill = bill_of(described, read_lock((tree / LOCK).read_text(encoding="utf-8")), made_s)
    return json.dumps(bill, indent=2).encode() + b"\n"


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def _sums(files: Mapping[str, bytes]) -> bytes:
    """Return the lines that `sha256sum --check` reads."""
    return "".join(f"{sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)).encode()

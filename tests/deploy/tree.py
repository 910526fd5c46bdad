"""A directory as the root of programs: a mount namespace and chroot, this machine's own system beneath it, read-only.

It stands for a container where no engine is: the programs see the tree, `/usr`, `/etc` and the like of this machine
(for those of a base image), `/proc` and `/dev`, and an empty `/tmp` in memory. They share processes and network with
the tests, and have no limits. Needs root, or user namespaces for everybody; in these the user stays what it is.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.support.servers import REQUIRE_REAL, real_is_required

BASE: Final = "base"
"""Where the tree has an environment with `python` and pip, as a base image has them."""

SYSTEM_PATH: Final = f"/{BASE}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SYSTEM: Final = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc")
_ALSO: Final = ("proc", "dev")

# $1 the tree, $2 ro or rw, $3 user:group, $4 the working directory, then SOURCE=PLACE … and, after --, the program.
_ENTER: Final = """
set -eu
root=$1 access=$2 user=$3 workdir=$4
shift 4
mount --bind "$root" "$root"
while [ "$1" != -- ]; do
    mount --rbind "${1%%=*}" "$root/${1#*=}"
    case ${1#*=} in
        proc | dev) ;;
        *) mount -o remount,bind,ro "$root/${1#*=}" ;;
    esac
    shift
done
shift
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -o "remount,bind,$access" "$root"
exec chroot $user "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$workdir" "$@"
"""


def is_root() -> bool:
    return os.geteuid() == 0


@cache
def _unshare() -> tuple[str, ...]:
    """Return the command that makes a mount namespace; without one the test is skipped, in CI it fails."""
    program = shutil.which("unshare") or "unshare"
    command = (program, "--mount") if is_root() else (program, "--mount", "--user", "--map-root-user")
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.CalledProcessError) as refused:
        remedy = f"the image's steps need root or user namespaces to be replayed: {refused}"
        if real_is_required():
            pytest.fail(f"{REQUIRE_REAL}=1 demands it: {remedy}", pytrace=False)
        pytest.skip(remedy)
    return command


def make_base(directory: Path) -> Path:
    """Make the environment that stands at `/base` in each tree: this Python, and pip."""
    done = subprocess.run(
        [sys.executable, "-m", "venv", directory], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


class Tree:
    """The tree of one image: what its steps put there, over the system of this machine.

    Args:
        root: an empty directory.
        base: see `make_base`.
    """

    def __init__(self, root: Path, base: Path) -> None:
        self.root = root
        self._binds = [*_system_binds(), (base, BASE)]
        for place in (*_ALSO, "tmp", "root", *(place for _, place in self._binds)):
            (root / place).mkdir(parents=True, exist_ok=True)
        for name in _SYSTEM:
            if (system := Path("/", name)).is_symlink():
                (root / name).symlink_to(system.readlink())
        self._binds += [(Path("/", name), name) for name in _ALSO]

    def path(self, inside: str) -> Path:
        """Return where an absolute path of the tree is on this machine."""
        return self.root / inside.lstrip("/")

    def bind(self, source: Path, place: str) -> None:
        """Show a file or directory of this machine at an absolute path of the tree, read-only."""
        target = self.path(place)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            target.mkdir(exist_ok=True)
        else:
            target.touch()
        self._binds.append((source, place.lstrip("/")))

    def command(
        self, program: Sequence[str], *, user: str = "0:0", workdir: str = "/", writable: bool = False
    ) -> list[str]:
        """Return the command that runs a program in the tree; its first process becomes the program."""
        switch = f"--userspec={user}" if is_root() else ""
        binds = [f"{source}={place}" for source, place in self._binds]
        arguments = [str(self.root), "rw" if writable else "ro", switch, workdir, *binds, "--", *program]
        return [*_unshare(), "/bin/sh", "-c", _ENTER, "sh", *arguments]

    def run(
        self,
        program: Sequence[str],
        environment: Mapping[str, str],
        *,
        user: str = "0:0",
        workdir: str = "/",
        writable: bool = False,
        seconds: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in the tree to its end."""
        return subprocess.run(
            self.command(program, user=user, workdir=workdir, writable=writable),
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


def _system_binds() -> Iterator[tuple[Path, str]]:
    for name in _SYSTEM:
        system = Path("/", name)
        if system.is_dir() and not system.is_symlink():
            yield system, name
    python = Path(sysconfig.get_config_var("installed_base")).resolve()
    if not python.is_relative_to("/usr"):
        yield python, str(python).lstrip("/")

"""Copies of the tree, broken by a patch; the tree itself is never touched."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class PatchDoesNotApply(Exception):
    """What the patch changes is no longer there; the text is what git says."""


@contextmanager
def copied_tree(root: Path) -> Iterator[Path]:
    """Yield a copy of what git holds of a tree, as it is now, and of what is new; it is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="tidemark-mutation-") as directory:
        tree = Path(directory) / "tree"
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(listing, cwd=root, capture_output=True, check=True).stdout
        for name in filter(None, listed.decode().split("\0")):
            if (root / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, tree / name)
        if (root / ".venv").exists():
            (tree / ".venv").symlink_to((root / ".venv").resolve())
        yield tree


def apply_patch(tree: Path, patch: Path) -> None:
    """Change a copied tree.

    Raises:
        PatchDoesNotApply: nothing was changed.
    """
    # In a tree within some other repository, git would look for that one's files, find none, and be content.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["GIT_CEILING_DIRECTORIES"] = str(tree.parent)
    command = ["git", "apply", "--whitespace=nowarn", str(patch)]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PatchDoesNotApply(done.stderr.strip())

"""Replays the COPY and RUN steps of a Dockerfile in empty directories, as a builder without an engine would."""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, assert_never

from tests.deploy.build_context import files, patterns
from tests.deploy.dockerfile import Copy, Image, Run, Stage, Step, read
from tests.deploy.tree import SYSTEM_PATH, Tree, make_base

BASE_IMAGE: Final = Image(environment={"PATH": SYSTEM_PATH})
_OF_THE_NETWORK: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_STEP_SECONDS: Final = 300


class StepFailed(Exception):
    """A step does not do what it should; the text holds its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The last stage: its tree, and what its image says of containers."""

    tree: Tree
    image: Image

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a container that is given these variables; nothing of this process's own."""
        home = "/root" if self.image.user.startswith("0:") else "/"
        return {"HOME": home, **self.image.environment, **variables}


class Replay:
    """One build.

    Args:
        directory: an empty one, for the trees.
        context: what COPY takes from, by its `.dockerignore`.
    """

    def __init__(self, directory: Path, context: Path) -> None:
        self._directory = directory
        self._context = context
        self._in_context = list(files(context, patterns((context / ".dockerignore").read_text())))
        self._base = make_base(directory / "base")
        self._trees: dict[str, Tree] = {}

    def build(self, dockerfile: Path) -> Built:
        """Take every step of every stage, and return the last one."""
        stages = read(dockerfile.read_text(), base=BASE_IMAGE)
        for stage in stages:
            self._trees[stage.name] = self._build(stage)
        return Built(tree=self._trees[stages[-1].name], image=stages[-1].image)

    def _build(self, stage: Stage) -> Tree:
        root = self._directory / f"stage-{stage.name}"
        root.mkdir()
        tree = Tree(root, self._base)
        for step in stage.steps:
            tree.path(step.image.workdir).mkdir(parents=True, exist_ok=True)
            match step.act:
                case Copy():
                    self._copy(step.act, step.image, tree)
                case Run():
                    _run(step.act, step, tree)
                case _:
                    assert_never(step.act)
        return tree

    def _copy(self, copy: Copy, image: Image, tree: Tree) -> None:
        target = tree.path(str(PurePosixPath(image.workdir, copy.target)))
        into_directory = copy.target.endswith("/") or len(copy.sources) > 1 or target.is_dir()
        for source in copy.sources:
            if copy.source_stage is not None:
                found = self._trees[copy.source_stage].path(source)
                if not found.exists():
                    raise StepFailed(f"COPY {source}: it is not in {copy.source_stage}")
                _copy_whole(found, target, into_directory=into_directory)
                continue
            for file, place in self._of_context(source):
                _copy_whole(self._context / file, target / place if place else target, into_directory=into_directory)

    def _of_context(self, source: str) -> Iterator[tuple[PurePosixPath, str]]:
        """Yield each file that a source stands for, and where it goes below the target; empty: a file itself."""
        wanted = PurePosixPath(source)
        found = [file for file in self._in_context if file == wanted or wanted in file.parents]
        if not found:
            raise StepFailed(f"COPY {source}: it is not in the build context")
        for file in found:
            yield file, "" if file == wanted else str(file.relative_to(wanted))


def _copy_whole(source: Path, target: Path, *, into_directory: bool) -> None:
    if source.is_dir():  # of another stage, which changes no more: its files serve both
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, copy_function=os.link)
        return
    if into_directory and target.name != source.name:
        target = target / source.name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def _run(run: Run, step: Step, tree: Tree) -> None:
    """Run a command with the image's variables and, as a builder has it, this machine's way to the packages."""
    environment = {"HOME": "/root", **_network(), **step.image.environment}
    done = tree.run(
        ["/bin/sh", "-c", run.command],
        environment,
        user=step.image.user,
        workdir=step.image.workdir,
        writable=True,
        seconds=_STEP_SECONDS,
    )
    if done.returncode != 0:
        raise StepFailed(f"RUN {run.command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


def _network() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name in _OF_THE_NETWORK or name.startswith("PIP_") or name.lower().endswith("_proxy")
    }

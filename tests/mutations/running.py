"""Breaks a copy of the tree once a mutation and looks whether the named tests see it."""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.mutations.named_tests import Ran, run_tests
from tests.mutations.scratch import PatchDoesNotApply, apply_patch, copied_tree
from tests.mutations.table import Catch, Mutation

BY_ASSERTION: Final = re.compile(r"assert |AssertionError|Failed: DID NOT RAISE")
TAIL_LINES: Final = 15


class UnbrokenTreeFails(Exception):
    """A named test does not pass before anything is broken, so its failure afterwards would say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """How a named test ended under a mutation: `trouble` says why that is no catch, and is empty for one."""

    test: str
    said: str
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a mutation; `trouble` when it could not be tried, or when a test did not see it."""

    mutation: Mutation
    seen: Sequence[Seen]
    seconds: float
    trouble: str = ""

    @property
    def caught(self) -> bool:
        return not self.trouble


class Runner:
    """Tries mutations one after the other.

    Args:
        root: of the tree that is copied.
        patches: where the mutations' patches lie.
        say: told what is being done.
        run_tests: runs tests in a tree.
    """

    def __init__(
        self,
        root: Path,
        patches: Path,
        say: Callable[[str], object],
        run_tests: Callable[[Path, Iterable[str]], Ran] = run_tests,
    ) -> None:
        self._root = root
        self._patches = patches
        self._say = say
        self._run_tests = run_tests

    def run(self, mutations: Sequence[Mutation]) -> list[Outcome]:
        """Return the outcome of each.

        Raises:
            UnbrokenTreeFails: a named test does not pass as it is.
        """
        self._check_unbroken([catch.test for mutation in mutations for catch in mutation.catches])
        outcomes = []
        for number, mutation in enumerate(mutations, start=1):
            self._say(f"{number:2}/{len(mutations)} {mutation.name} ")
            outcome = self._try(mutation)
            self._say(f"{outcome.trouble or 'caught'}, {outcome.seconds:.0f} s\n")
            outcomes.append(outcome)
        return outcomes

    def _check_unbroken(self, tests: Sequence[str]) -> None:
        began = time.monotonic()
        self._say(f"unbroken: {len(set(tests))} tests ")
        with copied_tree(self._root) as tree:
            ran = self._run_tests(tree, tests)
        failing = [test for test in dict.fromkeys(tests) if not _passed(ran, test)]
        if failing:
            raise UnbrokenTreeFails("\n".join(["not passed on the unbroken tree:", *failing, _tail(ran)]))
        self._say(f"passed, {time.monotonic() - began:.0f} s\n")

    def _try(self, mutation: Mutation) -> Outcome:
        began = time.monotonic()
        seen: list[Seen] = []
        with copied_tree(self._root) as tree:
            try:
                self._break(tree, mutation)
            except PatchDoesNotApply as error:
                trouble = f"DOES NOT APPLY: {error}"
            else:
                ran = self._run_tests(tree, [catch.test for catch in mutation.catches])
                seen = [_seen(ran, catch) for catch in mutation.catches]
                trouble = "; ".join(each.trouble for each in seen if each.trouble)
        return Outcome(mutation=mutation, seen=seen, seconds=time.monotonic() - began, trouble=trouble)

    def _break(self, tree: Path, mutation: Mutation) -> None:
        apply_patch(tree, self._patches / f"{mutation.name}.patch")
        if mutation.guard:
            apply_patch(tree, self._patches / f"{mutation.name}.guard.patch")


def _passed(ran: Ran, test: str) -> bool:
    cases = ran.of(test)
    return bool(cases) and all(case.how == "passed" for case in cases)


def _seen(ran: Ran, catch: Catch) -> Seen:
    """Return whether a test failed by an assertion of its own, and said what it must."""
    cases = ran.of(catch.test)
    if not cases:
        return Seen(test=catch.test, said="", trouble=f"{catch.test} WAS NOT RUN:\n{_tail(ran)}")
    unlike = ""
    for case in cases:
        if case.how == "failure" and BY_ASSERTION.match(case.said) and re.search(catch.says, case.said, re.DOTALL):
            return Seen(test=catch.test, said=case.said)
        unlike = unlike or case.said
    if all(case.how == "passed" for case in cases):
        return Seen(test=catch.test, said="", trouble=f"SURVIVED {catch.test}")
    return Seen(test=catch.test, said=unlike, trouble=f"{catch.test} FAILED OTHERWISE: {unlike[:1000]}")


def _tail(ran: Ran) -> str:
    return "\n".join(ran.output.splitlines()[-TAIL_LINES:])

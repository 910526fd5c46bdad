"""The runner on a tiny tree: it tells a catch from a survivor, from a stale patch and from a test that fails anyhow."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.mutations.named_tests import Case, Ran, run_tests
from tests.mutations.running import Outcome, Runner, UnbrokenTreeFails
from tests.mutations.table import Catch, Mutation

PRODUCT = "def double(number):\n    return 2 * number\n"
TESTS = """\
import pytest
from product import double

@pytest.mark.parametrize("number", [0, 3])
def test_twice_as_much(number):
    assert double(number) == 2 * number, "wrong sum"

def test_nothing_in_particular():
    assert True
"""
TWICE = "test_product.py::test_twice_as_much"
NOTHING = "test_product.py::test_nothing_in_particular"
WRONG = "test_product.py::test_that_fails_anyhow"


def patch(instead: str, of: str = "return 2 * number") -> str:
    head = "--- a/product.py\n+++ b/product.py\n@@ -1,2 +1,2 @@\n"
    return f"{head} def double(number):\n-    {of}\n+    {instead}\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "product.py").write_text(PRODUCT)
    (root / "test_product.py").write_text(TESTS)
    (root / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\npythonpath = .\n")
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    return root


def as_pytest_would(tree: Path, tests: Iterable[str]) -> Ran:
    """Say how the tests end in the tiny tree without starting pytest; one that is not there has no case."""
    doubled = (tree / "product.py").read_text().split("return ")[1].strip()
    twice = {
        "2 * number": Case(name="test_product::test_twice_as_much[3]", how="passed"),
        "unknown": Case(name="test_product::test_twice_as_much[3]", how="failure", said="NameError: wrong sum"),
    }.get(doubled, Case(name="test_product::test_twice_as_much[3]", how="failure", said="AssertionError: wrong sum"))
    nothing = Case(name="test_product::test_nothing_in_particular", how="passed")
    wrong = Case(name="test_product::test_that_fails_anyhow", how="error", said="SyntaxError")
    assert tests
    return Ran([Case(name="test_product::test_twice_as_much[0]", how="passed"), twice, nothing, wrong], doubled)


def run(tree: Path, mutation: Mutation) -> Outcome:
    [outcome] = Runner(tree, tree.parent, lambda _: None, as_pytest_would).run([mutation])
    return outcome


def mutation(*tests: str, says: str = "wrong sum", guard: str = "") -> Mutation:
    return Mutation(name="a", breaks="", guard=guard, catches=tuple(Catch(test=test, says=says) for test in tests))


def test_a_mutation_is_caught_by_the_test_that_says_what_it_must(tree: Path) -> None:
    (tree.parent / "a.patch").write_text(patch("return 3 * number"))
    outcome = run(tree, mutation(TWICE))
    assert outcome.caught
    assert [(each.test, each.said) for each in outcome.seen] == [(TWICE, "AssertionError: wrong sum")]
    assert (tree / "product.py").read_text() == PRODUCT


def test_a_guard_is_taken_off_with_it(tree: Path) -> None:
    (tree.parent / "a.patch").write_text(patch("return 2 * number + 0"))
    (tree.parent / "a.guard.patch").write_text(patch("return unknown", of="return 2 * number + 0"))
    assert "NameError" in run(tree, mutation(TWICE, guard="the other")).trouble


def test_one_test_that_does_not_see_it_is_a_survivor(tree: Path) -> None:
    (tree.parent / "a.patch").write_text(patch("return 3 * number"))
    outcome = run(tree, mutation(TWICE, NOTHING))
    assert outcome.trouble == f"SURVIVED {NOTHING}"
    assert [each.test for each in outcome.seen if not each.trouble] == [TWICE]


def test_a_patch_whose_place_is_gone_does_not_apply(tree: Path) -> None:
    (tree.parent / "a.patch").write_text(patch("return 0", of="return number + number"))
    outcome = run(tree, mutation(TWICE))
    assert outcome.trouble.startswith("DOES NOT APPLY: ")
    assert not outcome.caught
    assert not outcome.seen


@pytest.mark.parametrize(("instead", "says"), [("3 * number", "right sum"), ("unknown", "wrong sum")])
def test_a_failure_for_another_reason_is_no_catch(instead: str, says: str, tree: Path) -> None:
    (tree.parent / "a.patch").write_text(patch(f"return {instead}"))
    assert f"{TWICE} FAILED OTHERWISE: " in run(tree, mutation(TWICE, says=says)).trouble


@pytest.mark.parametrize("test", [WRONG, "test_product.py::test_that_is_not_there"])
def test_a_test_that_does_not_pass_on_the_unbroken_tree_ends_it(test: str, tree: Path) -> None:
    with pytest.raises(UnbrokenTreeFails, match=test):
        run(tree, mutation(TWICE, test))


def test_pytest_itself_is_read_case_by_case(tree: Path) -> None:
    (tree / "product.py").write_text(PRODUCT.replace("2", "3"))
    ran = run_tests(tree, [TWICE, NOTHING])
    assert [case.how for case in ran.of(TWICE)] == ["passed", "failure"]
    assert "wrong sum" in ran.of(f"{TWICE}[3]")[0].said
    assert [case.how for case in ran.of(NOTHING)] == ["passed"]
    assert [case.how for case in ran.of("test_product.py")] == ["passed", "failure", "passed"]
    assert ran.of(f"{NOTHING}_else") == []

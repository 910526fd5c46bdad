"""The table and the patches: each has the other, and each patch applies to the tree as it is."""

import re
import shutil
from pathlib import Path

import pytest

from tests.mutations.scratch import apply_patch
from tests.mutations.table import MUTATIONS, PATCHES, Mutation

ROOT = Path(__file__).parent.parent.parent.parent


def patches_of(mutation: Mutation) -> list[Path]:
    return [
        PATCHES / f"{mutation.name}.patch",
        *([PATCHES / f"{mutation.name}.guard.patch"] if mutation.guard else []),
    ]


def test_each_patch_has_its_row_and_each_row_its_patch() -> None:
    assert sorted(path for mutation in MUTATIONS for path in patches_of(mutation)) == sorted(PATCHES.iterdir())
    assert [int(mutation.name[:2]) for mutation in MUTATIONS] == list(range(1, 13))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_is_caught_by_tests_that_are_there(mutation: Mutation) -> None:
    assert mutation.catches
    for catch in mutation.catches:
        file, _, name = catch.test.partition("::")
        assert f"def {name.partition('[')[0]}" in (ROOT / file).read_text(), catch.test


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_applies_to_the_tree_as_it_is(mutation: Mutation, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for patch in patches_of(mutation):
        for name in re.findall(r"^\+\+\+ b/(.+)$", patch.read_text(), re.MULTILINE):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
    for patch in patches_of(mutation):
        apply_patch(tree, patch)

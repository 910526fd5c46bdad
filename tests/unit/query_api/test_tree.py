"""The tree against the oracle, and at its edges: cycles, sixteen levels, parents that are not there."""

import json
from collections.abc import Collection, Mapping
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from query_api.tree import DEPTH_MAX, Tree
from services.directory_records import StoredRecord, encode_record, encode_stored
from services.identifiers import OrganizationId
from tests.support.directory_oracle import DirectoryOracle

Parents = Mapping[str, str | None]


def tree_of(parents: Parents, deleted: Collection[str] = ()) -> Tree:
    """Return the tree of organizations by parent, some of them deleted."""
    fields = []
    for organization, parent in parents.items():
        record = {"name": organization} | ({} if parent is None else {"parentId": parent})
        held = None if organization in deleted else encode_record(record)
        fields.append((f"o/{organization}".encode(), encode_stored(StoredRecord(1, 0, held))))
    return Tree(fields)


def oracle_of(parents: Parents, deleted: set[str]) -> DirectoryOracle:
    oracle = DirectoryOracle()
    for organization, parent in parents.items():
        data: dict[str, Any] = {"action": "upsert", "version": 1, "name": organization, "parentId": parent}
        if organization in deleted:
            data = {"action": "delete", "version": 1}
        whole = {
            "specversion": "1.0",
            "id": "e",
            "source": "s",
            "type": "directory.organization",
            "time": "2026-01-01T00:00:00Z",
            "subject": organization,
            "organizationid": organization,
            "data": data,
        }
        oracle.add(json.dumps(whole).encode())
    assert oracle.bad == 0
    return oracle


@st.composite
def forests(draw: st.DrawFn) -> dict[str, str | None]:
    """Return parents of up to 40 organizations: chains mostly, some branches, cycles and parents not heard of."""
    names = [f"o{number:02}" for number in range(draw(st.integers(1, 40)))]
    parents: dict[str, str | None] = {}
    for number, name in enumerate(names):
        before = names[number - 1] if number else None
        odd = st.sampled_from([None, "nowhere", *names])
        parents[name] = draw(odd) if draw(st.integers(0, 9)) == 0 else before
    return parents


@given(forests(), st.data())
def test_every_walk_is_the_oracles(parents: dict[str, str | None], data: st.DataObject) -> None:
    deleted = data.draw(st.sets(st.sampled_from(sorted(parents)), max_size=2))
    tree, oracle = tree_of(parents, deleted), oracle_of(parents, deleted)
    for name in [*parents, "nowhere"]:
        organization = OrganizationId(name)
        assert tree.parent(organization) == oracle.parent(name)
        assert tree.root_of(organization) == oracle.root(name)
        assert list(tree.descendants(organization)) == oracle.descendants(name)
        if name not in deleted and name in parents:
            event("rootless" if oracle.root(name) is None else "rooted")
    assert len(tree) == len(parents) - len(deleted)


def chain(length: int) -> dict[str, str | None]:
    """Return a root and so many organizations each below the one before: o00, o01, …"""
    return {f"o{at:02}": f"o{at - 1:02}" if at else None for at in range(length + 1)}


def test_a_root_is_found_sixteen_parents_up_and_no_further() -> None:
    tree = tree_of(chain(20))
    assert [tree.root_of(OrganizationId(f"o{at:02}")) for at in (0, 1, DEPTH_MAX)] == ["o00"] * 3
    assert [tree.root_of(OrganizationId(f"o{at:02}")) for at in (DEPTH_MAX + 1, 20)] == [None] * 2


def test_descendants_are_found_sixteen_levels_down_and_no_further() -> None:
    tree = tree_of(chain(20))
    assert tree.descendants(OrganizationId("o00"))[-1] == "o16"
    assert tree.descendants(OrganizationId("o03"))[-1] == "o19"
    assert len(tree.descendants(OrganizationId("o04"))) == 16
    assert tree.descendants(OrganizationId("o20")) == []


@pytest.mark.parametrize("length", [1, 2, 3, 16, 17, 18, 40])
def test_a_cycle_has_no_root_and_ends_every_walk(length: int) -> None:
    parents: Parents = {f"o{at:02}": f"o{(at + 1) % length:02}" for at in range(length)} | {"below": "o00"}
    tree = tree_of(parents)
    assert {tree.root_of(OrganizationId(each)) for each in parents} == {None}
    below = tree.descendants(OrganizationId("o00"))
    assert "o00" not in below
    assert len(below) == len(set(below)) == min(length - 1, DEPTH_MAX) + 1
    assert tree.descendants(OrganizationId("below")) == []


def test_a_parent_that_is_deleted_or_was_never_heard_of_is_none() -> None:
    parents: Parents = {"a": "nowhere", "b": "a", "c": "b"}
    tree = tree_of(parents, {"b"})
    assert [tree.parent(OrganizationId(each)) for each in "abc"] == [None, None, None]
    assert [tree.root_of(OrganizationId(each)) for each in "abc"] == ["a", None, "c"]
    assert tree.descendants(OrganizationId("a")) == tree.descendants(OrganizationId("b")) == []
    assert tree.organizations[OrganizationId("a")].parent == "nowhere"


def test_descendants_come_level_by_level_and_by_id_in_each() -> None:
    parents: Parents = {"root": None, "z": "root", "b": "root", "a": "z", "c": "b", "ä": "b"}
    assert tree_of(parents).descendants(OrganizationId("root")) == ["b", "z", "a", "c", "ä"]

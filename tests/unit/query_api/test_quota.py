from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from query_api import quota
from query_api.quota import TooManyOrganizations, Used, headroom, hierarchy_of, tier_of, used, utilization
from query_api.snapshot import OrganizationSnapshot
from query_api.tiers import Tiers, load_tiers
from query_api.tree import Tree
from services.directory import Thing
from services.directory_records import StoredRecord, encode_record, encode_stored
from services.identifiers import OrganizationId
from services.keyspace import directory_field

TIERS: Tiers = load_tiers(None)
STEPS_MAX = 16

Parents = Mapping[str, str | None]


@dataclass(frozen=True)
class Company:
    """One organization as it is drawn: `persons` and `groups` say whether each was deleted again."""

    parent: str | None
    tier: str | None
    is_deleted: bool
    persons: Mapping[str, bool]
    groups: Mapping[str, bool]


Companies = Mapping[str, Company]


NUMBERED: Final = [f"o{number}" for number in range(22)]
TIER_NAMES: Final = [None, *TIERS.by_name, "no such tier"]

DRAWN: Final = st.tuples(
    st.sampled_from([None, "above", "above", "above", "nobody", *NUMBERED]),
    st.sampled_from(TIER_NAMES),
    st.integers(0, 9),
    st.integers(0, 2**16 - 1),
)


@st.composite
def companies(draw: st.DrawFn) -> Companies:
    """Return organizations, often in a line longer than a walk may be, with cycles and parents that do not exist."""
    rows = draw(st.lists(DRAWN, min_size=1, max_size=len(NUMBERED)))
    return {
        name: Company(
            parent=before if parent == "above" else parent,
            tier=tier,
            is_deleted=chance == 9,
            persons=_some("abcdef", bits),
            groups=_some("gh", bits >> 12),
        )
        for before, name, (parent, tier, chance, bits) in zip([None, *NUMBERED], NUMBERED, rows, strict=False)
    }


def _some(names: str, bits: int) -> Mapping[str, bool]:
    """Return some of the names, and of each whether it was deleted again: two bits a name."""
    return {name: bool(bits >> 2 * at & 1) for at, name in enumerate(names) if bits >> 2 * at & 2}


def in_line(count: int) -> Companies:
    """Return organizations each of which is above the next, the last one included as above nobody."""
    names: list[str | None] = [None, *(f"o{number}" for number in range(count))]
    return {
        str(name): Company(parent=parent, tier="professional", is_deleted=False, persons={}, groups={})
        for parent, name in pairwise(names)
    }


def stored(thing: Thing, subject: str, *, is_deleted: bool, **fields: str | None) -> tuple[bytes, bytes]:
    record = None if is_deleted else encode_record({key: value for key, value in fields.items() if value is not None})
    return directory_field(thing, subject).encode(), encode_stored(StoredRecord(1, 0, record))


def written(drawn: Companies) -> tuple[Tree, Mapping[OrganizationId, OrganizationSnapshot]]:
    tree = Tree(
        stored(Thing.ORGANIZATION, name, is_deleted=each.is_deleted, name=name, parentId=each.parent, tier=each.tier)
        for name, each in drawn.items()
    )
    units = {
        OrganizationId(name): OrganizationSnapshot(
            [
                *(stored(Thing.USER, person, is_deleted=gone) for person, gone in company.persons.items()),
                *(stored(Thing.GROUP, group, is_deleted=gone) for group, gone in company.groups.items()),
            ]
        )
        for name, company in drawn.items()
    }
    return tree, units


def living_parents(drawn: Companies) -> Parents:
    living = {name for name, company in drawn.items() if not company.is_deleted}
    return {name: drawn[name].parent if drawn[name].parent in living else None for name in living}


def above(parents: Parents, name: str) -> Sequence[str]:
    """Return the organizations over one, as many as a walk passes."""
    passed: list[str] = []
    parent = parents[name]
    while parent is not None and len(passed) < STEPS_MAX:
        passed.append(parent)
        parent = parents[parent]
    return passed


def root_of(parents: Parents, name: str) -> str | None:
    last = [name, *above(parents, name)][-1]
    return last if parents[last] is None else None


def below(parents: Parents, name: str) -> set[str]:
    return {each for each in parents if each != name and name in above(parents, each)}


def used_by(drawn: Companies, names: set[str]) -> Used:
    """Return what organizations have, one of them the one that is asked about."""
    persons = [(person, gone) for name in names for person, gone in drawn[name].persons.items()]
    groups = [gone for name in names for gone in drawn[name].groups.values()]
    return Used(
        suborganizations=len(names) - 1,
        persons=len({person for person, gone in persons if not gone}),
        groups=groups.count(False),
    )


@given(companies())
@example(in_line(16))
@example(in_line(17))
@example(in_line(18))
@example(in_line(40))
def test_what_a_hierarchy_uses_is_what_counting_one_by_one_gives(drawn: Companies) -> None:
    tree, units = written(drawn)
    parents = living_parents(drawn)
    for name in parents:
        organization, root = OrganizationId(name), root_of(parents, name)
        for sees_root in (False, True):
            hierarchy = hierarchy_of(organization, tree, sees_root=sees_root)
            assert hierarchy.root == root
            assert hierarchy.counted[0] == name
            assert used(hierarchy.counted, units) == used_by(drawn, {name} | below(parents, name))
            if root is None or not (sees_root or root == name):
                assert hierarchy.whole is None
            else:
                assert hierarchy.whole is not None
                assert used(hierarchy.whole, units) == used_by(drawn, {root} | below(parents, root))
            assert sorted(hierarchy.to_read) == sorted({*hierarchy.counted, *(hierarchy.whole or ())})


@given(companies())
@example(in_line(17))
@example(in_line(18))
def test_the_tier_is_the_roots_or_without_a_root_the_organizations_own(drawn: Companies) -> None:
    tree, _ = written(drawn)
    parents = living_parents(drawn)
    for name in parents:
        named = drawn[root_of(parents, name) or name].tier
        expected = named if named in TIERS.by_name else "free-trial"
        assert tier_of(OrganizationId(name), tree, TIERS).name == expected


def test_more_organizations_than_one_request_may_read_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "ORGANIZATIONS_MAX", 3)
    tree, _ = written(in_line(4))
    assert len(hierarchy_of(OrganizationId("o1"), tree, sees_root=False).counted) == 3
    for organization, sees_root in (("o0", False), ("o1", True)):
        with pytest.raises(TooManyOrganizations, match="more than 3 organizations"):
            hierarchy_of(OrganizationId(organization), tree, sees_root=sees_root)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
@example(1, 2_000)
@example(1, 16)
@example(3, 2)
def test_headroom_and_utilization_are_what_is_left_and_the_share_rounded_half_up(number: int, limit: int) -> None:
    assert headroom(number, limit) == limit - number
    if limit:
        assert utilization(number, limit) == floor(Fraction(number, limit) * 1_000 + Fraction(1, 2)) / 1_000


def test_of_no_limit_nothing_is_left_and_nothing_used_and_of_a_limit_of_0_there_is_no_share() -> None:
    assert (headroom(5, None), utilization(5, None)) == (None, None)
    assert (headroom(5, 0), utilization(5, 0)) == (-5, None)

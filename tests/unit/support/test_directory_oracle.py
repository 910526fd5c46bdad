"""The directory's oracle by hand-made examples: what it says is what the contract says."""

import json
from random import Random
from typing import Any

import pytest

from tests.support.directory_history import KINDS, Publisher, kinds_in
from tests.support.directory_lines import read_change
from tests.support.directory_oracle import DirectoryOracle

USER: dict[str, Any] = {"username": "Ann", "email": "ann@acme.example", "role": "Member", "verified": True}


def line(
    kind: str, organization: str, subject: str, version: int, time: str = "2026-01-10T00:00:00Z", **data: Any
) -> bytes:
    """Return an upsert with `data`, a delete without."""
    event = {
        "specversion": "1.0",
        "id": "e",
        "source": "s",
        "type": f"directory.{kind}",
        "time": time,
        "subject": subject,
        "organizationid": organization,
        "data": {"action": "upsert" if data else "delete", "version": version} | data,
    }
    return json.dumps(event).encode()


def ann(version: int, time: str, status: str | None, **more: Any) -> bytes:
    return line("user", "acme", "ann", version, time, **({} if status is None else USER | {"status": status} | more))


def tree(**parents: str | None) -> DirectoryOracle:
    return DirectoryOracle(line("organization", name, name, 1, name=name, parentId=up) for name, up in parents.items())


def test_the_highest_version_holds_and_the_first_of_equals() -> None:
    lines = [line("team", "acme", "core", version, name=f"v{at}") for at, version in enumerate((3, 5, 4, 5))]
    assert DirectoryOracle(lines).present("team", "acme", "core") == {"name": "v1"}
    assert DirectoryOracle([*lines, line("team", "acme", "core", 6)]).present("team", "acme", "core") is None


def test_a_months_end_is_told_by_time_and_then_by_version() -> None:
    changes = [
        ann(1, "2026-01-31T23:59:59.999Z", "invited"),
        ann(2, "2026-02-01T00:00:00Z", "registered"),
        ann(9, "2026-03-05T00:00:00Z", "registered"),
        ann(8, "2026-03-05T00:00:00Z", "deactivated"),
        ann(7, "2026-03-07T00:00:00+01:00", None),
        ann(3, "2026-04-01T01:00:00+01:00", "registered"),
    ]
    for lines in (changes, changes[::-1]):
        oracle = DirectoryOracle(lines)
        states = [
            [state for state, count in oracle.month_end("acme", 2026, month).items() if count] for month in range(1, 5)
        ]
        assert states == [["invited"], ["registered"], [], ["registered"]]
        assert oracle.month_end("acme", 2025, 12) == {"registered": 0, "deactivated": 0, "invited": 0}
        record = oracle.present("user", "acme", "ann")
        assert record is not None
        assert record["status"] == "registered"
    assert DirectoryOracle(changes[2:4]).month_end("acme", 2026, 3)["registered"] == 1


def test_a_user_is_in_the_team_its_record_names_unless_that_is_deleted() -> None:
    oracle = DirectoryOracle([ann(1, "2026-01-01T00:00:00Z", "registered", teamId="core")])
    assert (oracle.members("acme", "core"), oracle.users("acme", team_member=True, active=True)) == (["ann"], ["ann"])
    oracle.add(line("team", "acme", "core", 1, name="Core"))
    assert oracle.team_now("acme", "core") == {"registered": 1, "deactivated": 0, "invited": 0}
    oracle.add(line("team", "acme", "core", 2))
    assert (oracle.members("acme", "core"), oracle.users("acme", team_member=False)) == ([], ["ann"])


def test_the_tree_is_walked_over_those_that_exist() -> None:
    oracle = tree(a=None, b="a", c="b", d="nowhere")
    assert [oracle.root(each) for each in ("a", "b", "c", "d", "nowhere")] == ["a", "a", "a", "d", None]
    assert [oracle.descendants(each) for each in ("a", "b", "c", "nowhere")] == [["b", "c"], ["c"], [], []]
    oracle.add(line("organization", "b", "b", 2))
    assert [oracle.root(each) for each in ("a", "b", "c")] == ["a", None, "c"]
    assert oracle.descendants("a") == []


def test_a_cycle_has_no_root_and_everyone_in_it_is_below_everyone() -> None:
    oracle = tree(a="c", b="a", c="b", d="d", e="a")
    assert [oracle.root(each) for each in "abcde"] == [None] * 5
    assert oracle.descendants("a") == ["b", "e", "c"]
    assert oracle.descendants("d") == []


def test_sixteen_levels_are_walked_and_no_more() -> None:
    oracle = tree(**{f"o{at:02}": f"o{at - 1:02}" if at else None for at in range(18)})
    assert (oracle.root("o16"), oracle.root("o17")) == ("o00", None)
    assert oracle.descendants("o00") == [f"o{at:02}" for at in range(1, 17)]


def test_a_person_in_two_suborganizations_is_one_and_groups_add_up() -> None:
    oracle = tree(root=None, a="root", b="root")
    for organization in ("a", "b", "elsewhere"):
        oracle.add(line("user", organization, "ann", 1, **USER, status="invited"))
        oracle.add(line("group", organization, "staff", 1, name="Staff"))
    assert oracle.quota("root") == {"num_suborganizations": 2, "num_persons": 1, "num_groups": 2}
    assert oracle.quota("a") == {"num_suborganizations": 0, "num_persons": 1, "num_groups": 1}
    assert oracle.quota("elsewhere") is None


def test_the_tier_is_the_roots() -> None:
    oracle = tree(a="root")
    oracle.add(line("organization", "root", "root", 1, name="Root", tier="startup"))
    assert oracle.tier("a") == "startup"
    oracle.add(line("organization", "b", "b", 1, name="B", tier="enterprise", parentId="b"))
    assert (oracle.tier("b"), tree(a="a").tier("a"), oracle.tier("nowhere")) == ("enterprise", None, None)


@pytest.mark.parametrize("broken", [b"", b"{}", b"[]", ann(1, "2026-01-01T00:00:00", "registered")])
def test_a_line_that_is_no_event_is_counted_and_nothing_else(broken: bytes) -> None:
    oracle = DirectoryOracle([broken])
    assert (oracle.good, oracle.bad, oracle.organizations_named()) == (0, 1, [])


def test_times_in_records_have_whole_seconds_and_nulls_are_absent() -> None:
    change = read_change(
        ann(1, "2026-01-01T00:00:00Z", "invited", createdAt="2026-01-01T01:00:00.999+01:00", leads=None)
    )
    assert change is not None
    assert change.record == USER | {"status": "invited", "createdAt": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize("seed", range(3))
def test_a_history_of_some_size_has_everything_in_it(seed: int) -> None:
    found = kinds_in(Publisher(Random(seed)).history(1_000))
    assert KINDS - found.keys() == set()
    assert min(found[kind] for kind in KINDS) >= 3

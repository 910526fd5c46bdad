from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from ingest.directory_admission import DirectoryAdmission
from ingest.verdicts import AdmissionRules
from services.cli.main import app
from services.directory import Thing
from services.directory_records import DirectoryChange, decode_record, month_of
from services.simulated_directory import simulate_directory
from services.simulated_population import SHAPES, Profile, members
from services.simulated_records import TIERS, organizations

pytestmark = pytest.mark.unit

END_MS = 1_795_000_000_000
ADMISSION = DirectoryAdmission(AdmissionRules(ignore_unknown=False, max_bytes=65_536, max_age_ms=None, max_ahead_ms=0))


def lines_of(profile: Profile = Profile.DEMO, seed: int = 11, **options: Any) -> list[bytes]:
    return list(simulate_directory(profile, seed, END_MS, **options))


def changes_of(lines: list[bytes]) -> list[DirectoryChange]:
    """Return what ingest makes of the lines, which are all good."""
    changes = [ADMISSION.admit(line, END_MS) for line in lines]
    assert all(isinstance(change, DirectoryChange) for change in changes)
    return [change for change in changes if isinstance(change, DirectoryChange)]


def by_thing(changes: list[DirectoryChange]) -> dict[tuple[Thing, str, str], list[DirectoryChange]]:
    grouped = defaultdict(list)
    for change in changes:
        grouped[change.thing, str(change.organization), change.subject].append(change)
    return grouped


def record(change: DirectoryChange) -> dict[str, Any]:
    assert change.record is not None
    return decode_record(change.record)


@pytest.mark.parametrize("months", [0, 7])
def test_the_same_arguments_give_the_same_bytes_and_another_seed_others(months: int) -> None:
    assert lines_of(months=months) == lines_of(months=months)
    assert lines_of(months=months) != lines_of(months=months, seed=12)


def test_a_state_has_the_profiles_population_each_living_thing_once() -> None:
    changes = changes_of(lines_of())
    grouped = by_thing(changes)
    assert len(grouped) == len(changes)
    things = {thing: {key[1:] for key in grouped if key[0] is thing} for thing in Thing}
    shape = SHAPES[Profile.DEMO]
    everyone = members(shape)
    assert things[Thing.ORGANIZATION] == {(name, name) for name in shape.organizations}
    assert things[Thing.TEAM] == {(member.organization, member.team) for member in everyone}
    known = things[Thing.USER] & {(member.organization, member.user) for member in everyone}
    assert len(known) > 0.9 * len(everyone)
    assert {organization for organization, _ in things[Thing.LICENSE]} == set(shape.organizations)
    assert {organization for organization, _ in things[Thing.GROUP]} == set(shape.organizations)


def test_the_organizations_of_a_state_are_trees_with_tiers_at_the_roots() -> None:
    trees = {change.subject: record(change) for change in changes_of(lines_of()) if change.thing is Thing.ORGANIZATION}
    parents = {name: fields.get("parentId") for name, fields in trees.items()}
    assert parents == {
        "acme": None,
        "globex": "acme",
        "Müller & Söhne": "globex",
        "initech": None,
        "hooli 100%": "initech",
        "umbrella:eu": None,
    }
    assert all(("tier" in fields) == (fields.get("parentId") is None) for fields in trees.values())
    assert len({fields["tier"] for fields in trees.values() if "tier" in fields}) == 3


def test_users_have_every_status_and_role_teams_and_some_none_and_some_are_in_two_organizations() -> None:
    users = [change for change in changes_of(lines_of()) if change.thing is Thing.USER]
    statuses = Counter(str(change.status) for change in users)
    assert statuses["registered"] > 0.7 * len(users)
    assert min(statuses["invited"], statuses["deactivated"]) > 5
    records = [record(change) for change in users]
    assert {fields["role"] for fields in records} == {"Member", "TeamLead", "Manager", "Admin"}
    assert any("teamId" not in fields for fields in records)
    assert {"leads" in fields for fields in records if fields["role"] == "TeamLead"} == {True, False}
    assert all(("deactivatedAt" in fields) == (fields["status"] == "deactivated") for fields in records)
    assert max(Counter(change.subject for change in users).values()) == 2
    teams = [record(change) for change in changes_of(lines_of()) if change.thing is Thing.TEAM]
    assert sum(fields["isDefaultTeam"] for fields in teams) == len(SHAPES[Profile.DEMO].organizations)
    admins = {str(each.organization) for each in users if record(each)["role"] == "Admin" and each.status}
    assert admins == set(SHAPES[Profile.DEMO].organizations)


def test_a_later_state_holds_over_an_earlier_one() -> None:
    earlier = changes_of(list(simulate_directory(Profile.DEMO, 1, END_MS - 1)))
    later = changes_of(list(simulate_directory(Profile.DEMO, 1, END_MS)))
    assert max(change.version for change in earlier) < min(change.version for change in later)


def test_a_history_has_all_that_can_happen_and_lies_in_its_months() -> None:
    changes = changes_of(lines_of(months=12))
    assert {month_of(change.time_ms) for change in changes} == set(range(month_of(END_MS) - 12, month_of(END_MS) + 1))
    seen: Counter[str] = Counter()
    for (thing, *_), story in by_thing(changes).items():
        story.sort(key=lambda change: change.version)
        for before, after in pairwise(story):
            if thing is Thing.USER:
                seen[f"{before.status} to {after.status}"] += before.version != after.version
            if before.record and after.record:
                old, new = record(before), record(after)
                seen.update(name for name in ("teamId", "parentId", "tier") if old.get(name) != new.get(name))
            elif before.record:
                seen[f"{thing.name} deleted"] += 1
            elif after.record:
                seen[f"{thing.name} back"] += 1
    wanted = ("invited to registered", "registered to deactivated", "deactivated to registered", "registered to None")
    for what in (*wanted, "None to registered", "teamId", "parentId", "USER back", "GROUP deleted"):
        assert seen[what], (what, seen)


def test_a_history_sorted_by_version_is_consistent_though_it_comes_late_and_twice() -> None:
    lines = lines_of(months=12)
    changes = changes_of(lines)
    assert 0.01 < 1 - len(set(lines)) / len(lines) < 0.04
    versions = [change.version for change in changes]
    overtaken = sum(earlier > later for earlier, later in pairwise(versions))
    assert overtaken > 20
    for story in by_thing(changes).values():
        moments = sorted({(change.version, change.time_ms) for change in story})
        assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(moments))
    ordered = [change.version for change in changes_of(lines_of(months=12, late_share=0, copy_share=0))]
    assert ordered == sorted(ordered)


def test_times_may_go_against_versions_where_it_is_asked_for() -> None:
    stories = by_thing(changes_of(lines_of(months=12, contrary_share=0.3)))
    ordered = [sorted({(change.version, change.time_ms) for change in story}) for story in stories.values()]
    assert any(a[1] > b[1] for moments in ordered for a, b in pairwise(moments))


def test_the_bench_profile_has_trees_for_its_twenty_thousand_users() -> None:
    everyone = organizations(SHAPES[Profile.BENCH])
    assert (len(everyone), sum(len(each.users) for each in everyone)) == (50, 20_000)
    assert sum(len(each.teams) for each in everyone) == 500
    assert {each.tier for each in everyone if each.parent is None} == set(TIERS)
    assert sum(each.parent is None for each in everyone) == 25
    assert all(each.guests for each in everyone if each.parent is not None)


def test_the_tiers_are_those_of_the_quota_contract(shared_dir: Path) -> None:
    contract = yaml.safe_load((shared_dir / "contract" / "quota.yaml").read_text())
    assert set(TIERS) == set(contract["components"]["schemas"]["PricingTier"]["enum"])


def test_the_command_writes_what_the_generator_makes() -> None:
    options = ["--directory", "--months", "3", "--seed", "4", "--end-time", "2026-11-18T11:06:40Z", "--out", "-"]
    result = CliRunner().invoke(app, ["simulate", *options])
    assert result.exit_code == 0, result.output
    assert result.stdout_bytes.splitlines() == list(simulate_directory(Profile.DEMO, 4, 1_795_000_000_000, months=3))


@pytest.mark.parametrize(
    "options", [["--directory", "--events", "5"], ["--directory", "--bad-fraction", "0.1"], ["--months", "3"]]
)
def test_options_that_do_not_go_together_are_refused(options: list[str]) -> None:
    result = CliRunner().invoke(app, ["simulate", *options, "--out", "-"])
    assert result.exit_code == 2
    assert "--directory" in result.stderr or "usage events" in result.stderr

"""Directories that are imported or simulated, through the whole pipeline to the query API."""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.pipeline import PipelineUnderTest, running_pipeline
from tests.support.servers import Broker

pytestmark = [pytest.mark.e2e, pytest.mark.guarantee, pytest.mark.slow]

Present = dict[tuple[str, str, str], dict[str, Any]]
"""(type, organization, subject) -> data, of what is not deleted."""


def present(lines: Iterable[bytes]) -> Present:
    """Return what holds after all lines: of each thing the data with the highest version."""
    held: Present = {}
    for line in lines:
        event = json.loads(line)
        key = (event["type"], event["organizationid"], event["subject"])
        if key not in held or event["data"]["version"] > held[key]["version"]:
            held[key] = event["data"]
    return {key: data for key, data in held.items() if data["action"] == "upsert"}


def told(client: httpx.Client, path: str, **query: Any) -> Any:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def users_told(client: httpx.Client) -> dict[str, tuple[str, str, bool]]:
    """Return the users that are not invited: email, role, and whether they are registered."""
    found = {}
    for active in (True, False):
        for in_team in (True, False):
            query = {"offset": 0, "limit": 0, "teamMember": in_team, "active": active}
            for user in told(client, "/api/v1/organization/users", **query)["data"]:
                found[user["id"]] = (user["email"], user["role"], active)
    return found


def check(pipeline: PipelineUnderTest, wanted: Present) -> None:
    organizations = [name for kind, name, _ in wanted if kind == "directory.organization"]
    assert len(organizations) >= 5
    for name in organizations:
        of_it = {(kind, subject): data for (kind, owner, subject), data in wanted.items() if owner == name}
        with pipeline.client(name) as client:
            assert told(client, "/api/v1/organization")["name"] == of_it["directory.organization", name]["name"]
            teams = {team["id"]: team["name"] for team in told(client, "/api/v1/organization/teams")["data"]}
            assert teams == {team: data["name"] for (kind, team), data in of_it.items() if kind == "directory.team"}
            assert users_told(client) == {
                user: (data["email"], data["role"], data["status"] == "registered")
                for (kind, user), data in of_it.items()
                if kind == "directory.user" and data["status"] != "invited"
            }


@pytest.mark.timeout(240)
def test_a_directory_is_served_as_its_highest_versions_say(tmp_path: Path, kafka: Broker, redis_url: str) -> None:
    file, table = tmp_path / "history.ndjson", tmp_path / "people.csv"
    with running_pipeline(tmp_path, kafka.bootstrap, redis_url) as pipeline:
        pipeline.run("simulate", "--directory", "--months", "6", "--seed", "3", "--out", file)
        history = file.read_bytes().splitlines()
        assert json.loads(pipeline.run("directory", "import", file, "--json").out)["published"] == len(history)
        # Nothing is in usage.events: the wait is for the directory alone.
        pipeline.catch_up()
        check(pipeline, present(history))
        rows = [row for row in json.loads(pipeline.run("lag", "--json").out) if row["role"] == "ingest+aggregator"]
        directory = pipeline.topics["directory"]
        assert [(row["end"], row["lag"]) for row in rows if row["topic"] == directory] == [(len(history), 0)]

        table.write_text(
            "type,organizationid,subject,action,username,email,role,verified,status,teamId\n"
            "user,acme,u00-00000,,Ada,ada@example.com,Manager,true,deactivated,t00-001\n"
            "user,acme,newcomer,upsert,Eve,eve@example.com,Member,false,registered,\n"
            "team,acme,t00-002,delete,,,,,,\n"
        )
        pipeline.run("directory", "import", table)
        # All of the history again, with lower versions than the table: it changes nothing.
        (tmp_path / "again.ndjson.gz").write_bytes(gzip.compress(file.read_bytes()))
        pipeline.run("directory", "import", tmp_path / "again.ndjson.gz")
        pipeline.catch_up()
        with pipeline.client("acme") as client:
            users = users_told(client)
            assert users["u00-00000"] == ("ada@example.com", "Manager", False)
            assert users["newcomer"] == ("eve@example.com", "Member", True)
            assert "t00-002" not in {team["id"] for team in told(client, "/api/v1/organization/teams")["data"]}
        assert pipeline.run("dead-letters", "list", "--json").out == ""


@pytest.mark.timeout(240)
def test_a_simulated_state_is_published_and_served(tmp_path: Path, kafka: Broker, redis_url: str) -> None:
    end = ["--end-time", "2026-11-18T11:06:40Z"]
    with running_pipeline(tmp_path, kafka.bootstrap, redis_url) as pipeline:
        made = pipeline.run("simulate", "--directory", *end, "--out", "-").out.encode().splitlines()
        published = json.loads(pipeline.run("simulate", "--directory", *end, "--json").out)
        assert published["events"] == len(made)
        pipeline.catch_up()
        check(pipeline, present(made))

"""The whole pipeline on links that are all secured: every link by TLS, every user by name, and no secret anywhere."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from aggregator.app import GROUP
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.scaleout.listed import redis_commands
from tests.scaleout.secured import ROLES, SecuredDeployment, SecuredServers
from tests.support.deployment import Deployment

pytestmark = [pytest.mark.guarantee, pytest.mark.timeout(180)]

EVENTS = 4_000
RATE = 1_500
ADMINS = frozenset({"info", "config|resetstat"})
"""Commands of the test itself, on the server whose statistics it reads."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredServers]:
    with SecuredServers(tmp_path_factory.mktemp("servers")) as started:
        yield started


@pytest.fixture(scope="module")
def deployment(servers: SecuredServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredDeployment]:
    made = SecuredDeployment(servers, tmp_path_factory.mktemp("deployment"), api__rate_limit="100000/second per token")
    try:
        yield made.begin()
    finally:
        made.close()


def test_everything_is_counted_once_by_users_who_may_do_no_more_than_the_page_lists(
    servers: SecuredServers, deployment: SecuredDeployment
) -> None:
    with servers.redis.as_admin() as admin:
        admin.config_resetstat()
    workers = [deployment.secured_worker(role) for role in ROLES]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.await_ready()
    settings = deployment.settings.model_copy(update={"kafka": deployment.producers})
    with Publisher(settings, seeded_load(29, EVENTS, 4), rate=RATE) as publisher:
        publisher.await_count(EVENTS // 3)
        killed = servers.kafka.coordinator(GROUP)
        servers.kafka.node(killed).kill()
        assert publisher.count < EVENTS, "the broker died after the work"
        published = publisher.wait()
    assert_right(deployment, published)
    servers.kafka.heal()
    assert [worker.exits for worker in workers] == [[]] * len(ROLES), deployment.logs()
    said = what_operators_do(deployment, json.loads(published[0].value))
    assert_right(deployment, published)
    said += what_operators_publish(deployment, published[0].value)
    with servers.redis.as_admin() as admin:
        used = {name.removeprefix("cmdstat_") for name in admin.info("commandstats")} - ADMINS
    assert used == redis_commands("tidemark") | redis_commands("tidemark-api")
    assert_nothing_secret(servers, deployment, said)


def what_operators_do(deployment: Deployment, counted: Mapping[str, Any]) -> list[str]:
    """Run the commands that read or write on the links, and return all that was printed."""
    organization = str(counted["organizationid"])
    event = ("--organization", organization, "--source", str(counted["source"]), "--id", str(counted["id"]))
    said: list[str] = []

    def run(*arguments: str) -> str:
        done = deployment.run(*arguments)
        said.extend((done.out, done.err))
        return done.out

    run("topics", "check")
    run("wait", "--caught-up")
    run("lag", "--json", "--rates", "1")
    run("ledger", "--json")
    run("trace", *event)
    run("dead-letters", "list", "--json")
    run("verify")
    run("rebuild", "--yes")
    key = json.loads(run("api-key", "create", "--organization", organization, "--name", "tests", "--json"))
    run("api-key", "list")
    run("api-key", "revoke", key["id"])
    with deployment.client(organization) as client:
        day = str(counted["time"])[:10]
        asked = {"organizationId": organization, "granularity": "daily", "from": f"{day}T00:00:00Z"}
        asked["to"] = f"{day}T23:00:00Z"
        assert client.get("/api/v1/organization/usage", params=asked).status_code == 200
    return said


def what_operators_publish(deployment: Deployment, event: bytes) -> list[str]:
    """Run the commands that add records, when everything else is compared, and return all that was printed."""
    file = deployment.directory / "one.ndjson"
    file.write_bytes(event + b"\n")
    commands = (
        ("publish", str(file)),
        ("dead-letters", "replay", "--reason", "not_json", "--force", "--no-wait"),
        ("dead-letters", "purge", "--all", "--unreplayed-too", "--yes"),
    )
    done = [deployment.run(*arguments) for arguments in commands]
    return [text for each in done for text in (each.out, each.err)]


def assert_nothing_secret(servers: SecuredServers, deployment: Deployment, said: list[str]) -> None:
    places = {worker.name: worker.written() for worker in deployment.workers} | {"commands": "\n".join(said)}
    for worker in deployment.workers:
        for file in ("environ", "cmdline"):
            places[f"{worker.name}'s {file}"] = Path(f"/proc/{worker.pid}/{file}").read_text()
    for place, text in places.items():
        for name, secret in servers.secrets.items():
            assert secret not in text, f"the secret {name} stands in {place}"

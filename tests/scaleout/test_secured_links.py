"""The whole pipeline on links that are all secured: every link by TLS, every user by name, and no secret anywhere."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.clock import now_ms
from services.identifiers import UserId
from services.redis_client import answers
from services.tokens import issue_ops_token, token_key
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.scaleout.deploying import TIMES
from tests.scaleout.listed import redis_commands
from tests.scaleout.secured import HALFWAY, OPERATOR, PRODUCERS, ROLES, SecuredDeployment, SecuredServers
from tests.support.deployment import Deployment
from tests.support.groups import AGGREGATOR_GROUP
from tests.support.kafka_acls import Allowed, give
from tests.support.pipeline import await_condition
from tests.support.worker import Worker

pytestmark = [pytest.mark.guarantee, pytest.mark.timeout(600)]

EVENTS = 4_000
RATE = 1_500
UNLISTED = frozenset({"hello", "auth", "config|resetstat"})
"""By which a user says who it is, which no list forbids; and one of the test itself."""

OF_THE_TEST = frozenset({"info"})
"""A command of the list that the test uses too, so that its use by others does not show."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredServers]:
    with SecuredServers(tmp_path_factory.mktemp("servers")) as started:
        yield started


@pytest.fixture(scope="module")
def deployment(servers: SecuredServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredDeployment]:
    settings = TIMES | {"api__rate_limit": "100000/second per token"}
    made = SecuredDeployment(servers, tmp_path_factory.mktemp("deployment"), **settings)
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
    to_kill = servers.kafka.node(servers.kafka.coordinator(AGGREGATOR_GROUP))
    with Publisher(settings, seeded_load(29, EVENTS, 4), rate=RATE) as publisher:
        publisher.await_count(EVENTS // 3)
        to_kill.kill()
        assert publisher.count < EVENTS, "the broker died after the work"
        published = publisher.wait()
    assert_right(deployment, published)
    servers.kafka.heal()
    assert [worker.exits for worker in workers] == [[]] * len(ROLES), deployment.logs()
    counted = json.loads(published[0].value)
    said = what_operators_do(deployment, counted)
    what_the_api_answers(deployment, workers[-1], counted)
    assert_right(deployment, published)
    said += what_operators_publish(deployment, published[0].value)
    asyncio.run(answers(deployment.settings.redis, timeout_s=5))  # as a watchdog asks
    with servers.redis.as_admin() as admin:
        statistics = admin.info("commandstats")
    used = {name.removeprefix("cmdstat_") for name, row in statistics.items() if row["calls"]} - UNLISTED
    assert used | OF_THE_TEST == redis_commands("tidemark") | redis_commands("tidemark-api")
    assert_nothing_secret(servers, deployment, said)


@pytest.mark.parametrize(
    ("role", "user", "lacks"),
    [
        ("ingest", "tidemark-api", "ClusterAuthorizationFailed"),  # no topic to write to
        ("ingest", OPERATOR, "GroupAuthorizationFailed"),
        ("aggregator", "tidemark-api", "GroupAuthorizationFailed"),
        ("aggregator", HALFWAY, "TopicAuthorizationFailed"),
    ],
)
def test_a_role_whose_user_may_do_less_ends_with_3_and_says_at_what(
    role: str, user: str, lacks: str, servers: SecuredServers, deployment: SecuredDeployment
) -> None:
    frames = deployment.settings.topics.frames
    describe, read = frozenset({"Describe"}), frozenset({"Read"})
    give(
        servers.kafka,
        [
            Allowed(user=HALFWAY, kind="topic", name=frames, operations=describe),
            Allowed(user=HALFWAY, kind="group", name=AGGREGATOR_GROUP, operations=read),
        ],
    )
    worker = deployment.worker(role, restarts=False, variables=servers.kafka_as(user))
    worker.start()
    ended = worker.await_exit()
    assert ended.code == 3, worker.tail()
    assert lacks in ended.last_line
    assert "Kafka does not let this user do it" in ended.last_line


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
    run("lag", "--json", "--rates", "1")
    run("ledger", "--json")
    run("trace", *event)
    run("dead-letters", "list", "--json")
    run("verify")
    run("rebuild", "--yes")
    key = json.loads(run("api-key", "create", "--organization", organization, "--name", "tests", "--json"))
    run("api-key", "revoke", key["id"])
    return said


def what_the_api_answers(deployment: Deployment, api: Worker, counted: Mapping[str, Any]) -> None:
    """Ask for usage, which counts the request too, and for what operators ask."""
    organization, day = str(counted["organizationid"]), str(counted["time"])[:10]
    usage = {"organizationId": organization, "granularity": "daily"}
    usage |= {"from": f"{day}T00:00:00Z", "to": f"{day}T23:00:00Z"}
    with deployment.client(organization) as client:
        for _ in range(2):  # the second counts beside the first
            assert client.get("/api/v1/organization/usage", params=usage).status_code == 200
    key = token_key(deployment.settings.api)
    token = issue_ops_token(UserId("tests"), key, issued_s=now_ms() // 1000, lifetime_s=600)
    event = {"organization": organization, "source": str(counted["source"]), "id": str(counted["id"])}
    frames = deployment.settings.topics.frames
    with httpx.Client(base_url=f"http://{api.address()}", headers={"Authorization": f"Bearer {token}"}) as client:

        def are_owned() -> bool:
            rows = [row for row in answered(client, "/ops/lag")["lag"] if row["topic"] == frames]
            return bool(rows) and all(
                row["end"] is not None and (row["owner"] or "").startswith(AGGREGATOR_GROUP) for row in rows
            )

        await_condition(are_owned, "each partition of the frames has an end and an owner", seconds=60, every=1.0)
        assert answered(client, "/ops/ledger")
        assert answered(client, "/ops/trace", event)["verdict"] == "accepted"


def answered(client: httpx.Client, path: str, parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return an answer's members; 503 is one that took too long beside all that runs here, and is asked for again."""
    found: list[httpx.Response] = []

    def is_answered() -> bool:
        found.append(client.get(path, params=parameters, timeout=30))
        return found[-1].status_code != 503

    await_condition(is_answered, f"{path} is answered", seconds=120, every=1.0)
    assert found[-1].status_code == 200, found[-1].text
    members: dict[str, Any] = found[-1].json()
    return members


def what_operators_publish(deployment: SecuredDeployment, event: bytes) -> list[str]:
    """Run what adds records, when everything else is compared, and return all that the commands printed."""
    file = deployment.directory / "one.ndjson"
    file.write_bytes(event + b"\n")
    canary = deployment.worker("canary", restarts=False, variables=deployment.servers.kafka_as(PRODUCERS))
    canary.start()
    canary.await_ready()
    assert canary.stop() == 0, canary.tail()
    commands = (
        ("publish", str(file)),
        ("dead-letters", "replay", "--reason", "not_json", "--force", "--no-wait"),
        ("dead-letters", "purge", "--all", "--unreplayed-too", "--yes"),
    )
    done = [deployment.run(*arguments) for arguments in commands]
    return [text for each in done for text in (each.out, each.err)]


def assert_nothing_secret(servers: SecuredServers, deployment: Deployment, said: list[str]) -> None:
    places = {worker.name: worker.written() for worker in deployment.workers} | {"commands": "\n".join(said)}
    for worker in filter(lambda each: each.running, deployment.workers):
        for file in ("environ", "cmdline"):
            places[f"{worker.name}'s {file}"] = Path(f"/proc/{worker.pid}/{file}").read_text()
    for place, text in places.items():
        for name, secret in servers.secrets.items():
            assert secret not in text, f"the secret {name} stands in {place}"

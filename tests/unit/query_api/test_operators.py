"""The operators' routes, as the health server's threads ask them: who may, and what is answered before a look."""

import asyncio
import json
from typing import Any

import pytest

from query_api.operators import by_ops_token, ops_handlers
from query_api.verifying import token_verifier
from services.clock import now_ms
from services.identifiers import UserId
from services.lag_watch import LagWatch
from services.memory_counters import MemoryCounterStore
from services.ops_port import OpsPort
from services.settings import KafkaSettings
from services.tokens import issue_ops_token, token_key
from tests.support.api_in_process import PARTITIONS, SETTINGS, Api, bearer
from tests.support.ports import LOOPBACK, free_ports


def ops_bearer() -> str:
    return f"Bearer {issue_ops_token(UserId('ada'), token_key(SETTINGS.api), issued_s=now_ms() // 1000, lifetime_s=60)}"


def watch_without_kafka() -> LagWatch:
    kafka = KafkaSettings(bootstrap_servers=f"{LOOPBACK}:{free_ports(1)[0]}")
    return LagWatch(SETTINGS.model_copy(update={"kafka": kafka}), MemoryCounterStore(PARTITIONS))


async def ask(watch: LagWatch, target: str, *authorization: str) -> tuple[int, dict[str, Any]]:
    port = OpsPort(ops_handlers(watch, SETTINGS), by_ops_token(token_verifier(SETTINGS.api)))
    status, _, body = await asyncio.to_thread(port.page, target, authorization)
    return status, json.loads(body)


@pytest.mark.parametrize(
    ("authorization", "status", "sentence"),
    [
        ((), 401, "send one header Authorization"),
        (("Bearer nonsense",), 401, "the token is not valid here"),
        ((bearer()["Authorization"],), 403, "the token lacks the scope ops"),
        ((ops_bearer(), bearer()["Authorization"]), 401, "send one header Authorization"),
    ],
)
async def test_only_an_operators_token_opens_the_routes(
    authorization: tuple[str, ...], status: int, sentence: str
) -> None:
    found, members = await ask(watch_without_kafka(), "/ops/lag", *authorization)
    assert found == status
    assert members["error"].startswith(sentence)


async def test_an_operators_token_opens_no_users_route(api: Api) -> None:
    for path in ("/api/v1/organization", "/api/v1/organization/usage", "/organizations/quota/usage"):
        response = await api.get(path, headers={"Authorization": ops_bearer()})
        assert response.status_code == 401, path


async def test_lag_says_what_is_away_and_knows_nothing_of_the_rest() -> None:
    watch = watch_without_kafka()
    assert (await ask(watch, "/ops/lag", ops_bearer()))[0] == 503
    await watch.look()
    status, members = await ask(watch, "/ops/lag", ops_bearer())
    assert status == 200
    assert (members["redis"], "Unable to bootstrap" in members["kafka"]) == ("ok", True)
    assert {(row["lag"], row["state"]) for row in members["lag"]} == {(None, "unknown")}
    assert [row["seconds"] for row in members["freshness"]] == [None] * PARTITIONS
    assert (await ask(watch, "/ops/lag?topic=x", ops_bearer()))[0] == 400


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("/ops/trace?organization=acme&source=ide", "give id:"),
        ("/ops/trace?organization=acme&source=&id=1", "give source:"),
        ("/ops/trace?organization=acme&source=ide&id=1&since=yesterday", "since: "),
        ("/ops/trace?organization=acme&source=ide&id=1&hour=3", "there is no parameter hour"),
        ("/ops/ledger?hour=3", "there is no parameter hour"),
    ],
)
async def test_a_wrong_question_names_what_is_wrong_with_it(target: str, sentence: str) -> None:
    status, members = await ask(watch_without_kafka(), target, ops_bearer())
    assert status == 400
    assert members["error"].startswith(sentence)

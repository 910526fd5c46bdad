import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus

import pytest

from services.health import HealthServer
from services.kafka import KafkaUnavailable
from services.ops_port import OPS_PREFIX, OpsPort, OpsRefused, only
from services.telemetry import Telemetry

pytestmark = pytest.mark.unit


async def admit(token: str) -> None:
    if token != "good":
        raise OpsRefused(HTTPStatus.FORBIDDEN, "no")


async def echo(parameters: Mapping[str, str]) -> object:
    only(parameters, "id", "source")
    return dict(parameters)


async def away(_: Mapping[str, str]) -> object:
    raise KafkaUnavailable("Kafka is away")


async def broken(_: Mapping[str, str]) -> object:
    raise ZeroDivisionError


async def endless(_: Mapping[str, str]) -> object:
    await asyncio.Event().wait()
    return None


HANDLERS = {"/ops/echo": echo, "/ops/away": away, "/ops/broken": broken, "/ops/endless": endless}


async def ask(target: str, *authorization: str) -> tuple[int, dict[str, str]]:
    """Ask from a thread, as the health server does."""
    port = OpsPort(HANDLERS, admit, limit_s=0.05 if "endless" in target else 5)
    status, content_type, body = await asyncio.to_thread(port.page, target, authorization)
    assert content_type == "application/json"
    members: dict[str, str] = json.loads(body)
    assert status == HTTPStatus.OK or list(members) == ["error"]
    return status, members


@pytest.mark.parametrize(
    "authorization", [(), ("Bearer good", "Bearer good"), ("Basic good",), ("Bearer ",), ("good",)]
)
async def test_a_request_without_one_bearer_token_is_told_how_to_get_one(authorization: tuple[str, ...]) -> None:
    status, members = await ask("/ops/echo", *authorization)
    assert status == 401
    assert "tidemark token --scope ops" in members["error"]


async def test_the_gate_is_asked_before_the_path_is_looked_up() -> None:
    assert (await ask("/ops/nothing", "Bearer bad"))[0] == 403
    status, members = await ask("/ops/nothing", "Bearer good")
    assert (status, members["error"]) == (404, "there are /ops/away, /ops/broken, /ops/echo, /ops/endless")


async def test_a_handler_is_given_the_parameters_decoded() -> None:
    assert await ask("/ops/echo?id=a%2Fb&source=", "bearer good") == (200, {"id": "a/b", "source": ""})


@pytest.mark.parametrize(
    ("target", "status", "sentence"),
    [
        ("/ops/echo?id=1&id=2", 400, "the parameter id is given twice: give it once"),
        ("/ops/echo?ids=1", 400, "there is no parameter ids: it takes id, source"),
        ("/ops/away", 503, "Kafka is away"),
        ("/ops/broken", 500, "it failed; the log of this process says why"),
        ("/ops/endless", 503, "no answer within 0.05 s; try again"),
    ],
)
async def test_what_is_not_answered_says_why_in_a_sentence(target: str, status: int, sentence: str) -> None:
    assert await ask(target, "Bearer good") == (status, {"error": sentence})


async def test_the_health_server_leaves_the_prefix_to_it_and_keeps_its_own_pages() -> None:
    health = HealthServer(Telemetry("api"))
    health.mount(OPS_PREFIX, OpsPort(HANDLERS, admit).page)
    assert (await asyncio.to_thread(health.page, "/ops/echo?id=1", ["Bearer good"]))[2] == b'{"id":"1"}'
    assert (await asyncio.to_thread(health.page, "/ops/echo"))[0] == 401
    assert health.page("/healthz")[0] == 200

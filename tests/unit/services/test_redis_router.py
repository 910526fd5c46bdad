"""Commands on their way through a cluster: what a node refuses goes on, what may have happened does not."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    ConnectionError,
    MovedError,
    NoScriptError,
    ResponseError,
    TryAgainError,
)

from services.redis_router import REDIRECTS_MAX, NoCluster, Router
from services.redis_slots import Argument, slot_of
from services.redis_urls import Address

ONE, TWO, SPARE = Address("10.0.0.1", 7000), Address("10.0.0.2", 7000), Address("10.0.0.3", 7000)
KEY = "tm:{0}:state"
SLOT = slot_of(KEY)
Answer = Callable[[Sequence[Argument], bool], Any]


def slots(owner: Address) -> list[Any]:
    return [[0, 16_383, [owner.host, owner.port, "id"], [SPARE.host, SPARE.port, "id"]]]


class Cluster:
    """Nodes that answer as they are told; `sent` is what they were asked, (address, first words, asking)."""

    def __init__(self) -> None:
        self.sent: list[tuple[Address, tuple[Argument, ...], bool]] = []
        self.answers: dict[Address, Answer] = {}
        self.maps: dict[Address, Any] = {ONE: slots(ONE), TWO: slots(ONE), SPARE: slots(ONE)}
        self.closed: list[Address] = []
        self.router = Router([ONE, TWO], lambda address: _Node(self, address), timeout_s=1)

    def of(self, *words: str) -> list[tuple[Address, bool]]:
        return [(address, asking) for address, arguments, asking in self.sent if arguments[: len(words)] == words]

    async def get(self) -> Any:
        return await self.router.call(("GET", KEY), {})


class _Node:
    def __init__(self, cluster: Cluster, address: Address) -> None:
        self._cluster, self._address = cluster, address

    async def send(self, arguments: Sequence[Argument], _options: Mapping[str, Any], *, asking: bool) -> Any:
        self._cluster.sent.append((self._address, tuple(arguments), asking))
        if tuple(arguments) == ("CLUSTER", "SLOTS"):
            answer = self._cluster.maps[self._address]
        else:
            answer = self._cluster.answers[self._address](arguments, asking)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def aclose(self) -> None:
        self._cluster.closed.append(self._address)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr("services.redis_router.REFRESH_PAUSE_S", 0)
    return Cluster()


def says(answer: Any) -> Answer:
    return lambda _arguments, _asking: answer


def moved_to(address: Address) -> MovedError:
    return MovedError(f"{SLOT} {address}")


async def test_a_command_goes_to_its_slots_node_and_the_map_is_asked_for_once(cluster: Cluster) -> None:
    cluster.answers[ONE] = says("held")
    assert [await cluster.get(), await cluster.get()] == ["held", "held"]
    assert len(cluster.of("CLUSTER")) == 1
    assert cluster.of("GET") == [(ONE, False)] * 2


async def test_a_slot_that_moved_is_followed_and_remembered(cluster: Cluster) -> None:
    cluster.answers = {ONE: says(moved_to(TWO)), TWO: says("held")}
    assert await cluster.get() == "held"
    before, cluster.maps = cluster.router.version, dict.fromkeys(cluster.maps, slots(TWO))
    assert await cluster.get() == "held"
    assert cluster.of("GET") == [(ONE, False), (TWO, False), (TWO, False)]
    assert cluster.router.version > before


async def test_a_slot_that_is_on_its_way_is_asked_for_once_at_a_node_that_serves_nothing_yet(cluster: Cluster) -> None:
    cluster.answers = {
        ONE: says(AskError(f"{SLOT} {SPARE}")),
        SPARE: lambda _a, asking: "held" if asking else moved_to(ONE),
    }
    assert [await cluster.get(), await cluster.get()] == ["held", "held"]
    assert cluster.of("GET") == [(ONE, False), (SPARE, True)] * 2


async def test_keys_on_both_sides_and_nodes_that_point_in_a_circle_are_for_later(cluster: Cluster) -> None:
    cluster.answers = {ONE: says(TryAgainError("Multiple keys request during rehashing of slot"))}
    with pytest.raises(TryAgainError):
        await cluster.get()
    assert len(cluster.of("GET")) == 1
    cluster.answers = {ONE: says(moved_to(TWO)), TWO: says(moved_to(ONE))}
    with pytest.raises(TryAgainError):
        await cluster.get()
    assert len(cluster.of("GET")) == 1 + REDIRECTS_MAX


@pytest.mark.parametrize("error", [ConnectionError("gone"), OSError("silent"), ClusterDownError("The cluster is down")])
async def test_what_may_have_happened_is_not_sent_twice_and_the_next_call_asks_where_the_slot_is(
    cluster: Cluster, error: Exception
) -> None:
    cluster.answers = {ONE: says(error), TWO: says("held")}
    with pytest.raises(type(error)):
        await cluster.get()
    assert cluster.of("GET") == [(ONE, False)]
    cluster.maps = {ONE: ConnectionError("gone"), TWO: slots(TWO), SPARE: slots(TWO)}
    assert await cluster.get() == "held"


async def test_while_nobody_answers_the_last_map_holds(cluster: Cluster) -> None:
    cluster.answers[ONE] = says(ConnectionError("gone"))
    cluster.maps |= dict.fromkeys((TWO, SPARE), ConnectionError("gone"))
    with pytest.raises(ConnectionError):
        await cluster.get()
    cluster.maps[ONE] = ConnectionError("gone")
    cluster.answers[ONE] = says("held")
    assert await cluster.get() == "held"


async def test_before_any_node_has_answered_the_last_reason_is_told(cluster: Cluster) -> None:
    cluster.maps = dict.fromkeys(cluster.maps, ConnectionError("refused"))
    with pytest.raises(ConnectionError, match=r"no node of the Redis Cluster answers; .*refused"):
        await cluster.get()


async def test_many_calls_that_wait_for_a_map_ask_for_it_once(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.redis_router.REFRESH_PAUSE_S", 60)
    cluster.maps = dict.fromkeys(cluster.maps, ConnectionError("refused"))
    router = Router([ONE, TWO], lambda address: _Node(cluster, address), timeout_s=1)
    calls = [router.call(("GET", KEY), {}) for _ in range(5)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [str(answer) for answer in answers] == [
        "no node of the Redis Cluster answers; the last one tried: refused"
    ] * 5
    assert len(cluster.of("CLUSTER")) == 2


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (ResponseError("This instance has cluster support disabled"), NoCluster),
        (AuthenticationError("WRONGPASS"), AuthenticationError),
    ],
)
async def test_what_no_other_node_mends_is_told_at_once(
    cluster: Cluster, answer: Exception, raised: type[Exception]
) -> None:
    cluster.maps = dict.fromkeys(cluster.maps, answer)
    with pytest.raises(raised):
        await cluster.get()
    assert len(cluster.of("CLUSTER")) == 1


async def test_a_slot_that_nobody_serves_is_down(cluster: Cluster) -> None:
    cluster.maps = {address: [[SLOT + 1, 16_383, [ONE.host, ONE.port, "id"]]] for address in cluster.maps}
    with pytest.raises(ClusterDownError, match=f"slot {SLOT}"):
        await cluster.get()


async def test_each_node_gets_a_script_when_it_does_not_know_it(cluster: Cluster) -> None:
    loaded: set[Address] = set()

    def node(address: Address) -> Answer:
        def answer(arguments: Sequence[Argument], _asking: bool) -> Any:
            if arguments[0] == "SCRIPT LOAD":
                loaded.add(address)
                return "hash"
            return "ran" if address in loaded and arguments[1] == name else NoScriptError("No matching script")

        return answer

    cluster.answers = {ONE: says(AskError(f"{SLOT} {TWO}")), TWO: node(TWO)}
    name = await cluster.router.call(("SCRIPT LOAD", "return 1"), {})
    assert cluster.sent == []
    for _ in range(2):
        assert await cluster.router.call(("EVALSHA", name, 1, KEY), {}) == "ran"
    assert cluster.of("SCRIPT LOAD") == [(TWO, False)]
    assert cluster.of("EVALSHA") == [(ONE, False), (TWO, True), (TWO, True), (ONE, False), (TWO, True)]
    with pytest.raises(NoScriptError):
        await cluster.router.call(("EVALSHA", "of nobody", 1, KEY), {})


async def test_nodes_that_left_are_hung_up_on_and_the_seeds_stay(cluster: Cluster) -> None:
    cluster.answers = {ONE: says("held"), SPARE: says("held")}
    cluster.maps = dict.fromkeys(cluster.maps, slots(SPARE))
    await cluster.get()
    cluster.router.doubt()
    cluster.maps = {address: [[0, 16_383, [ONE.host, ONE.port, "id"]]] for address in cluster.maps}
    await cluster.get()
    assert cluster.closed == [SPARE]

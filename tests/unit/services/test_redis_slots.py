"""What a cluster's nodes say, read; and which slot a command is for."""

from collections import Counter

import pytest

from services.keyspace import SLOTS, state_key, tags
from services.redis_slots import Argument, read_myself, read_slots, slot_of, slot_of_command, slot_of_pattern
from services.redis_urls import Address

ASKED = Address("10.0.0.9", 7000)
ONE, TWO, THREE = Address("10.0.0.1", 7000), Address("10.0.0.2", 7000), Address("10.0.0.3", 7000)
REPLY = [
    [0, 8191, [b"10.0.0.1", 7000, b"id-1", []], [b"10.0.0.3", 7000, b"id-3", []]],
    [8193, 16383, [b"10.0.0.2", 7000, b"id-2"]],
]

NODES = """\
aa 10.0.0.1:7000@17000,host-1 myself,master - 0 1 1 connected 0-5460 9000 [93->-bb] [7000-<-cc]
bb 10.0.0.2:7000@17000 master - 0 1 2 connected 5461-10922 [5->-aa]
"""


def test_a_map_says_who_serves_each_slot() -> None:
    found = read_slots(REPLY, ASKED)
    assert (found.owners[0], found.owners[8191], found.owners[8192], found.owners[16383]) == (ONE, ONE, None, TWO)
    assert (found.masters, found.replicas) == ((ONE, TWO), (THREE,))
    assert found.nodes == (ONE, TWO, THREE)
    assert found.slots_of(TWO) == frozenset(range(8_193, 16_384))


@pytest.mark.parametrize("host", [None, b"", "", b"?"])
def test_a_node_that_does_not_know_its_address_is_the_one_asked(host: bytes | str | None) -> None:
    assert read_slots([[0, 16383, [host, 7001, b"id"]]], ASKED).masters == (Address("10.0.0.9", 7001),)


def test_a_node_says_its_role_and_which_slots_are_on_their_way() -> None:
    mine = read_myself(NODES)
    assert mine.master
    assert mine.open_slots == {93, 7000}
    assert mine.slots == {*range(5_461), 9_000}
    replica = read_myself(NODES.replace("myself,master", "myself,slave"))
    assert not replica.master
    assert not read_myself("").master


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("HGETALL", "tm:{7}:state"), "{7}"),
        (("GET", b"tm:{7}:state"), "{7}"),
        (("EVALSHA", "0" * 40, 2, "tm:{7}:state", "tm:{7}:e1:h", "more"), "{7}"),
        (("eval", "return 1", "1", "tm:rates:{a}/-1"), "{a}"),
        (("SET", "tm:shadow-run", "x", "NX"), "tm:shadow-run"),
        (("PING",), None),
        (("EVALSHA", "0" * 40, 0), None),
        (("CONFIG GET", "maxmemory-policy"), None),
        (("CLUSTER", "NODES"), None),
        (("INFO", "memory"), None),
    ],
)
def test_a_command_goes_by_its_first_key(command: tuple[Argument, ...], key: str | None) -> None:
    assert slot_of_command(command) == (None if key is None else slot_of(key))


@pytest.mark.parametrize(
    ("pattern", "tag"),
    [
        ("tm:{3}:*", "3"),
        ("tm:{4-12}:e*", "4-12"),
        ("tm:{*}:e*", None),
        ("tm:*", None),
        ("*{3}", None),
        ("tm:{}:*", None),
    ],
)
def test_a_pattern_with_a_whole_tag_is_of_one_slot(pattern: str, tag: str | None) -> None:
    assert slot_of_pattern(pattern) == (None if tag is None else slot_of(tag))


def owned(partitions: int, masters: int) -> list[int]:
    """Return how many partitions each of some masters with equal shares of the slots has."""
    owners = Counter(slot_of(state_key(tag)) * masters // SLOTS for tag in tags(partitions))
    return [owners[master] for master in range(masters)]


@pytest.mark.parametrize("partitions", [16, 32, 64])
@pytest.mark.parametrize("masters", [3, 4])
def test_partitions_spread_evenly_over_masters_of_equal_shares(partitions: int, masters: int) -> None:
    assert max(owned(partitions, masters)) - min(owned(partitions, masters)) <= 1


@pytest.mark.parametrize("partitions", [8, 16, 32, 64, 128])
@pytest.mark.parametrize("masters", range(3, 9))
def test_no_master_is_two_partitions_off_its_share(partitions: int, masters: int) -> None:
    assert all(abs(count - partitions / masters) < 2 for count in owned(partitions, masters))

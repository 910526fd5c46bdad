"""What the nodes of a Redis Cluster say of its slots, and which slot a command is for; pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.crc import key_slot

from services.keyspace import SLOTS
from services.redis_urls import Address

Argument = str | bytes | int | float

_OF_NO_KEY: Final = frozenset(["CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DBSIZE", "INFO", "PING", "SCRIPT", "TIME"])
"""First words of the commands in use that any node answers; the keys of all others are looked for."""

_OPEN_SLOT: Final = re.compile(r"\[(\d+)-[<>]-")
_SLOTS: Final = re.compile(r"(\d+)(?:-(\d+))?")
_PATTERN_SIGNS: Final = frozenset("*?[\\")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterMap:
    """Who serves what. `owners`: one a slot, None where nobody does; `nodes`: those that serve slots, then replicas."""

    owners: tuple[Address | None, ...]
    masters: tuple[Address, ...]
    replicas: tuple[Address, ...]

    def slots_of(self, address: Address) -> frozenset[int]:
        return frozenset(slot for slot, owner in enumerate(self.owners) if owner == address)

    @property
    def nodes(self) -> tuple[Address, ...]:
        return self.masters + self.replicas


@dataclass(frozen=True, slots=True, kw_only=True)
class Myself:
    """What a node says of itself: the slots that it serves, and those that are on their way to or from it."""

    master: bool
    slots: frozenset[int]
    open_slots: frozenset[int]


def read_slots(reply: Sequence[Sequence[Any]], asked: Address) -> ClusterMap:
    """Return what a reply to CLUSTER SLOTS says; a node without an address is the one that was asked."""
    owners: list[Address | None] = [None] * SLOTS
    masters: dict[Address, None] = {}
    replicas: dict[Address, None] = {}
    for first, last, master, *others in reply:
        owner = _address(master, asked)
        masters[owner] = None
        replicas |= dict.fromkeys(_address(other, asked) for other in others)
        owners[int(first) : int(last) + 1] = [owner] * (int(last) + 1 - int(first))
    return ClusterMap(owners=tuple(owners), masters=tuple(masters), replicas=tuple(replicas.keys() - masters.keys()))


def read_myself(nodes: str) -> Myself:
    """Return what a node's reply to CLUSTER NODES says of itself."""
    for line in nodes.splitlines():
        words = line.split()
        flags = words[2].split(",")
        if "myself" in flags:
            return Myself(
                master="master" in flags,
                slots=frozenset(slot for word in words[8:] for slot in _slots(word)),
                open_slots=frozenset(map(int, _OPEN_SLOT.findall(line))),
            )
    return Myself(master=False, slots=frozenset(), open_slots=frozenset())


def slot_of(key: Argument) -> int:
    return key_slot(key if isinstance(key, bytes) else str(key).encode())


def slot_of_command(arguments: Sequence[Argument]) -> int | None:
    """Return the slot of a command's first key, None where it has none; the server refuses keys of several slots."""
    command = str(arguments[0]).upper().partition(" ")[0]
    if command in _OF_NO_KEY or len(arguments) < 2:
        return None
    if command in ("EVAL", "EVALSHA"):
        return slot_of(arguments[3]) if int(arguments[2]) else None
    return slot_of(arguments[1])


def slot_of_pattern(pattern: str) -> int | None:
    """Return the one slot of all keys that a pattern of SCAN matches, None where they lie in several."""
    begin = pattern.find("{")
    tag = pattern[begin + 1 : max(begin, pattern.find("}", begin))]
    if begin < 0 or not tag or _PATTERN_SIGNS & set(pattern[:begin] + tag):
        return None
    return slot_of(pattern)


def _slots(word: str) -> range:
    """Return the slots of `5`, of `0-5460`; of another word, such as that of an open slot, none."""
    found = _SLOTS.fullmatch(word)
    return range(int(found[1]), int(found[2] or found[1]) + 1) if found else range(0)


def _address(node: Sequence[Any], asked: Address) -> Address:
    host = node[0].decode() if isinstance(node[0], bytes) else node[0]
    return Address(host if host not in (None, "", "?") else asked.host, int(node[1]))

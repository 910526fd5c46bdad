"""Sends each command to the node of a Redis Cluster that serves its slot, and follows where nodes point.

redis-py's own cluster client is not used (ADR 0028): it sends ASKING and the command behind it on two connections, ends
with an AttributeError when it is pointed at a node without slots, raises instead of waiting when its connections are
busy, and hangs up on all calls under way when one slot is down.

Nothing is sent twice but what a node refused before doing anything: MOVED, ASK and NOSCRIPT. All else is the caller's
affair as with one server, an unknown outcome included.
"""

import asyncio
import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    ConnectionError,
    MovedError,
    NoScriptError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from services.clock import monotonic_s
from services.redis_slots import Argument, ClusterMap, read_slots, slot_of_command
from services.redis_urls import Address

REDIRECTS_MAX: Final = 5
"""In one call; a slot that is on its way points there and, once, back."""

REFRESH_PAUSE_S: Final = 0.1
"""Between two questions for the map: a failover takes seconds, and every call that fails meanwhile asks for it."""


class Node(Protocol):
    """Connections to one server."""

    async def send(self, arguments: Sequence[Argument], options: Mapping[str, Any], *, asking: bool) -> Any:
        """Return the reply; with `asking`, ASKING goes before it on the same connection."""

    async def aclose(self) -> None: ...


class NoCluster(RedisError):
    """The server that was asked is not one of a cluster."""


class Router:
    """Knows the nodes and their slots, as the cluster said last.

    Args:
        seeds: asked first, and whenever no other node answers.
        connect: makes the connections to a node; sends nothing.
        timeout_s: of a question for the map, to one node.

    Attributes:
        version: changes whenever a slot has another owner than before.
    """

    def __init__(self, seeds: Sequence[Address], connect: Callable[[Address], Node], *, timeout_s: float) -> None:
        self.version = 0
        self._seeds = tuple(seeds)
        self._connect = connect
        self._timeout_s = timeout_s
        self._nodes: dict[Address, Node] = {}
        self._map: ClusterMap | None = None
        self._moved: dict[int, Address] = {}
        self._stale = False
        self._refreshed_s = float("-inf")
        self._why: Exception | None = None
        self._refreshing = asyncio.Lock()
        self._failed: Address | None = None
        self._scripts: dict[str, Argument] = {}

    async def call(self, arguments: Sequence[Argument], options: Mapping[str, Any]) -> Any:
        """Return the reply of the node that serves the command's slot; of any master where it has no key.

        Raises:
            RedisError, OSError: as the node's connections; TryAgainError also when nodes point in a circle.
        """
        if arguments[0] == "SCRIPT LOAD":
            return self._remember(arguments[1])
        slot = slot_of_command(arguments)
        address, asking = await self.owner(slot), False
        for _ in range(REDIRECTS_MAX):
            try:
                return await self._send(address, arguments, options, asking)
            except MovedError as error:
                address, asking = self._pointed_at(error, address), False
                if slot is not None:
                    self._moved[slot] = address
                self._stale = True
            except AskError as error:
                address, asking = self._pointed_at(error, address), True
        raise TryAgainError("the nodes of the cluster point at each other")

    async def owner(self, slot: int | None) -> Address:
        """Return the node that serves a slot; of no slot, a master.

        Raises:
            ClusterDownError: none does.
        """
        known = await self.known()
        if slot is None:
            return known.masters[0]
        owner = self._moved.get(slot) or known.owners[slot]
        if owner is None:
            self._stale = True
            raise ClusterDownError(f"no node serves slot {slot}")
        return owner

    def node(self, address: Address) -> Node:
        """Return the connections to a node."""
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes[address] = self._connect(address)
        return node

    async def known(self) -> ClusterMap:
        """Return the map, asked for anew where it may be wrong; the last one while nobody answers."""
        if self._is_due():
            async with self._refreshing:
                # Whoever held the lock may have asked meanwhile, and been answered or not.
                if self._is_due():
                    await self._refresh()
        if self._map is None:
            raise ConnectionError(f"no node of the Redis Cluster answers; the last one tried: {self._why}")
        return self._map

    def _is_due(self) -> bool:
        wanted = self._map is None or self._stale
        return wanted and monotonic_s() - self._refreshed_s >= REFRESH_PAUSE_S

    def doubt(self) -> None:
        """Take in that the map may be wrong."""
        self._stale = True

    async def aclose(self) -> None:
        nodes, self._nodes = list(self._nodes.values()), {}
        for node in nodes:
            await node.aclose()

    async def _send(
        self, address: Address, arguments: Sequence[Argument], options: Mapping[str, Any], asking: bool
    ) -> Any:
        try:
            return await self._send_with_script(self.node(address), arguments, options, asking)
        except ClusterDownError:
            self._stale = True
            raise
        except ResponseError:
            raise
        except (RedisError, OSError, RuntimeError):
            # Away or silent: another node may serve its slots by now.
            self._stale, self._failed = True, address
            raise

    async def _send_with_script(
        self, node: Node, arguments: Sequence[Argument], options: Mapping[str, Any], asking: bool
    ) -> Any:
        try:
            return await node.send(arguments, options, asking=asking)
        except NoScriptError:
            text = self._scripts.get(_text(arguments[1]))
            if text is None:
                raise
            await node.send(("SCRIPT LOAD", text), {}, asking=False)
            return await node.send(arguments, options, asking=asking)

    def _remember(self, text: Argument) -> str:
        """Return a script's hash; a node is given the script when it says that it does not know it."""
        raw = text if isinstance(text, bytes) else str(text).encode()
        name = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
        self._scripts[name] = text
        return name

    @staticmethod
    def _pointed_at(error: AskError, asked: Address) -> Address:
        return Address(str(error.host) or asked.host, int(error.port))

    async def _refresh(self) -> None:
        """Ask one node after the other until one knows the slots; the one that failed last, last."""
        known = () if self._map is None else self._map.nodes
        candidates = list(dict.fromkeys((*known, *self._seeds)))
        # Not always the same one first: it may be cut off from the others, and know only what was.
        random.shuffle(candidates)
        for address in sorted(candidates, key=lambda each: each == self._failed):
            try:
                async with asyncio.timeout(self._timeout_s):
                    reply = await self.node(address).send(("CLUSTER", "SLOTS"), {}, asking=False)
            except AuthenticationError:
                raise
            except (ConnectionError, RedisTimeoutError, OSError, RuntimeError) as error:
                self._why = error
                continue
            except ResponseError as error:
                if "cluster support disabled" not in str(error):
                    raise
                raise NoCluster(
                    f"redis.url names a Redis Cluster, and the server at {address} is not one of a cluster:"
                    " give its address as redis://"
                ) from error
            found = read_slots(reply, address)
            if found.masters:
                await self._take(found)
                return
            self._why = ClusterDownError(f"the node at {address} knows of no slots")
        self._refreshed_s = monotonic_s()

    async def _take(self, found: ClusterMap) -> None:
        if self._map is None or found.owners != self._map.owners or self._moved:
            self.version += 1
        self._map, self._moved, self._stale, self._failed = found, {}, False, None
        self._refreshed_s = monotonic_s()
        for address in self._nodes.keys() - {*found.nodes, *self._seeds}:
            await self._nodes.pop(address).aclose()


def _text(argument: Argument) -> str:
    return argument.decode() if isinstance(argument, bytes) else str(argument)

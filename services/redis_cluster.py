"""A Redis Cluster behind the client's own face: what the stores do on one server they do here, each key on its node."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import AskError, RedisError, TryAgainError

from services.redis_router import Router
from services.redis_slots import Argument, read_myself, slot_of_command, slot_of_pattern
from services.redis_urls import Address

MakePool = Callable[[Address], BlockingConnectionPool]

_VERSIONS: Final = 1 << 16


class ClientNode:
    """One node, by the client for one server."""

    def __init__(self, pool: BlockingConnectionPool) -> None:
        self.client = Redis.from_pool(pool)

    async def send(self, arguments: Sequence[Argument], options: Mapping[str, Any], *, asking: bool) -> Any:
        if not asking:
            return await self.client.execute_command(*arguments, **options)  # type: ignore[no-untyped-call]
        async with self.client.pipeline(transaction=False) as calls:
            calls.execute_command("ASKING")
            calls.execute_command(*arguments, **options)
            return _reply((await calls.execute(raise_on_error=False))[1])

    async def send_all(self, commands: Sequence[tuple[Sequence[Argument], Mapping[str, Any]]]) -> list[Any]:
        """Return the replies to commands that are sent together, errors among them."""
        async with self.client.pipeline(transaction=False) as calls:
            for arguments, options in commands:
                calls.execute_command(*arguments, **options)
            return list(await calls.execute(raise_on_error=False))

    async def aclose(self) -> None:
        await self.client.aclose()


class ClusterClient(Redis):
    """A client whose commands go where their key lies; of those that several keys concern, all must lie in one slot.

    A pipeline's commands must all be of one slot. What has no key is asked of any master: use `each_node` for
    questions to a server, and `scan_page` instead of SCAN.
    """

    def __init__(self, seeds: Sequence[Address], make_pool: MakePool, *, timeout_s: float) -> None:
        super().__init__(connection_pool=make_pool(seeds[0]))  # for its encoder: it never connects
        self.router = Router(seeds, lambda address: ClientNode(make_pool(address)), timeout_s=timeout_s)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        return await self.router.call(args, options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Return a pipeline of one slot; nothing makes its commands one step.

        Raises:
            NotImplementedError: a transaction was asked for; scripts are what Tidemark changes things by in one step.
        """
        if transaction or shard_hint:
            raise NotImplementedError("on a cluster a pipeline is no transaction")
        return _SlotPipeline(self)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await self.router.aclose()
        await super().aclose(close_connection_pool)

    async def scan_page(self, cursor: int, pattern: str, count: int) -> tuple[int, list[bytes]]:
        """Return where to go on, 0 at the end, and some keys; as SCAN, on every master that may hold such keys.

        Raises:
            TryAgainError: slots are on their way or got other owners since the first page: keys might be left out.
        """
        slot = slot_of_pattern(pattern)
        known = await self.router.known()
        masters = known.masters if slot is None else (await self.router.owner(slot),)
        version = self.router.version % _VERSIONS
        position, then = divmod(cursor - 1, _VERSIONS) if cursor else (0, version)
        if then != version:
            raise TryAgainError("slots of the cluster got other owners while its keys were listed")
        on_node, number = divmod(position, len(masters))
        client = self._client(masters[number])
        if on_node == 0:
            await self._check_still(client, masters[number], slot)
        on_node, found = await client.scan(on_node, match=pattern, count=count)
        names = cast(list[bytes], found)
        if on_node == 0:
            await self._check_still(client, masters[number], slot)
            number += 1
        if number == len(masters):
            return 0, names
        return (on_node * len(masters) + number) * _VERSIONS + version + 1, names

    async def each_node(self) -> dict[str, Redis]:
        """Return a client of each node of the cluster, masters first, by its address."""
        return {str(address): self._client(address) for address in (await self.router.known()).nodes}

    async def each_master(self) -> dict[str, Redis]:
        """Return a client of each node that serves slots, by its address."""
        return {str(address): self._client(address) for address in (await self.router.known()).masters}

    def _client(self, address: Address) -> Redis:
        node = self.router.node(address)
        assert isinstance(node, ClientNode)
        return node.client

    async def _check_still(self, client: Redis, address: Address, slot: int | None) -> None:
        """Hold that the node serves what the map says and none of that is on its way: it has all keys of its slots."""
        said = await client.execute_command("CLUSTER", "NODES")  # type: ignore[no-untyped-call]
        myself = read_myself(said.decode())
        if not myself.master or myself.slots != (await self.router.known()).slots_of(address):
            self.router.doubt()
            raise TryAgainError("slots of the cluster got other owners while its keys were listed")
        on_their_way = myself.open_slots if slot is None else myself.open_slots & {slot}
        if on_their_way:
            raise TryAgainError(
                f"slot {min(on_their_way)} of the cluster is on its way from one node to another, and its keys cannot"
                " be listed meanwhile"
            )


class _SlotPipeline(Pipeline):
    """Sends commands of one slot together; those that the node points elsewhere with go on one by one."""

    def __init__(self, cluster: ClusterClient) -> None:
        super().__init__(cluster.connection_pool, cluster.response_callbacks, False, None)
        self._cluster = cluster

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        commands, self.command_stack = list(self.command_stack), []
        if not commands:
            return []
        router = self._cluster.router
        address = await router.owner(slot_of_command(commands[0][0]))
        node = router.node(address)
        assert isinstance(node, ClientNode)
        try:
            replies = await node.send_all(commands)
        except (RedisError, OSError, RuntimeError):
            router.doubt()
            raise
        for number, (arguments, options) in enumerate(commands):
            if isinstance(replies[number], AskError):  # MOVED too
                replies[number] = await router.call(arguments, options)
        if raise_on_error:
            for reply in replies:
                _reply(reply)
        return replies


def _reply(reply: Any) -> Any:
    if isinstance(reply, Exception):
        raise reply
    return reply

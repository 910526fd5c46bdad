"""A Redis and its replica, with proxies in front of both: what clients know as one address, and the link between."""

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from redis import Redis

from tests.faults.redis_states import client
from tests.support.pipeline import await_condition
from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import TcpProxy

QUICK = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")


class RedisPair:
    """Primary and replica. Dropping on `link` cuts replication off without either noticing.

    A frozen replica would not do: what reached its socket it applies when it is thawed, and nothing is lost.
    """

    def __init__(self, *arguments: str) -> None:
        self._stack = ExitStack()
        try:
            self.primary = self._started(*QUICK, *arguments)
            self.link = self.proxy(self.primary)
            self.replica = self._started(*QUICK, "--replicaof", "127.0.0.1", str(self.link.port))
            await_condition(self.is_replicated, "the replica is in step", seconds=30)
        except BaseException:
            self._stack.close()
            raise

    def proxy(self, server: RedisServer) -> TcpProxy:
        """Return an address for clients, to be pointed at another server later."""
        return self._stack.enter_context(TcpProxy(server.port))

    def is_replicated(self) -> bool:
        with client(self.replica) as asked:
            return bool(asked.info("replication").get("master_link_status") == "up")

    def promote(self) -> None:
        with client(self.replica) as asked:
            asked.replicaof("no", "one")

    def lead_to_replica(self, front: TcpProxy) -> None:
        """Let the clients of a proxy find the replica where the primary was."""
        front.retarget(self.replica.port)
        front.reset()

    def demote(self) -> None:
        """Make the old primary a replica of the new one, as it is done once both can be reached."""
        with client(self.primary) as asked:
            asked.replicaof("127.0.0.1", str(self.replica.port))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _started(self, *arguments: str) -> RedisServer:
        return self._stack.enter_context(RedisServer.start_new(arguments=arguments))


def url_of(proxy: TcpProxy) -> str:
    return f"redis://{proxy.address}/0"


def applied_on(server: RedisServer, tags: tuple[str, ...]) -> list[int]:
    """Return the applied offsets that one of the servers itself holds."""
    with client(server) as asked:
        return [_applied(asked, tag) for tag in tags]


def _applied(asked: Redis, tag: str) -> int:
    held = asked.hget(f"tm:{{{tag}}}:state", "cur")
    return -1 if held is None else int(held)

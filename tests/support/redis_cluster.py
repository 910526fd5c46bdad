"""A Redis Cluster: three masters with a replica each, as child processes; failovers and slots that move step by step.

Formed by CLUSTER commands, so that a Redis and a Valkey serve alike and nothing but their servers is needed.
"""

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis import Redis
from redis.exceptions import RedisError

from services.redis_slots import read_slots
from services.redis_urls import Address
from tests.support.child_process import ServerDidNotStart
from tests.support.pipeline import await_condition
from tests.support.ports import LOOPBACK, free_ports
from tests.support.redis_server import RedisServer, bundled_valkey, installed_redis

MASTERS = 3
SLOTS = 16_384
NODE_TIMEOUT_SECONDS = 2
"""After which a master that is silent is failed over."""

_ATTEMPTS = 3
_FORM_SECONDS = 30
_MOVE_SECONDS = 60

_CLUSTERED = (
    "--cluster-enabled",
    "yes",
    "--cluster-node-timeout",
    str(NODE_TIMEOUT_SECONDS * 1000),
    # A replica that was behind for a while still takes over: what it lacks is what the tests are about.
    "--cluster-replica-validity-factor",
    "0",
    "--repl-diskless-sync-delay",
    "0",
    "--repl-ping-replica-period",
    "1",
)


class RedisCluster:
    """The servers are `nodes`: first the masters, then a replica of each, as they were formed; roles change later.

    Args:
        arguments: `--name`, `value`, … of every server's configuration.
    """

    def __init__(self, program: Path, directory: Path, arguments: Sequence[str] = ()) -> None:
        self.directory = directory
        self._program = program
        self._arguments = (*_CLUSTERED, *arguments)
        self.nodes = [self._made(number) for number in range(2 * MASTERS)]

    @classmethod
    def start_new(cls, program: Path | None = None, arguments: Sequence[str] = ()) -> Self:
        """Start one in a new temporary directory, which `close` removes; return when all replicas are in step."""
        program = program or installed_redis() or bundled_valkey()
        if program is None:
            raise ServerDidNotStart("no redis-server or valkey-server on the PATH: apt-get install redis-server")
        for attempt in range(1, _ATTEMPTS + 1):
            cluster = cls(program, Path(tempfile.mkdtemp(prefix="tidemark-redis-cluster-")), arguments)
            try:
                cluster._form()
            except ServerDidNotStart:  # the likeliest cause is that somebody took a port in between
                cluster.close()
                if attempt == _ATTEMPTS:
                    raise
            except BaseException:
                cluster.close()
                raise
            else:
                return cluster
        raise AssertionError("unreachable")

    @property
    def url(self) -> str:
        """With the addresses of all nodes."""
        return "redis+cluster://" + ",".join(f"{LOOPBACK}:{node.port}" for node in self.nodes)

    def master_of(self, slot: int) -> RedisServer:
        """Return the node that serves a slot, as most of the others say."""
        owner = self._owners()[slot]
        assert owner is not None, f"nobody serves slot {slot}"
        return self._at(owner.port)

    def masters(self) -> list[RedisServer]:
        """Return the nodes that serve slots."""
        return [self._at(port) for port in sorted({owner.port for owner in self._owners() if owner is not None})]

    def replica_of(self, master: RedisServer) -> RedisServer:
        """Return a running replica of a node."""
        with client(master) as asked:
            mine = str(asked.execute_command("CLUSTER MYID").decode())
        for node in self.nodes:
            if node is not master and node.running and f"slave {mine}" in _myself(node):
                return node
        raise AssertionError(f"the node at {master.port} has no replica")

    def is_whole(self) -> bool:
        """Whether every node says that all slots are served, and half of them are replicas in step."""
        roles = [_role_if_in_step(node) for node in self.nodes]
        return sorted(map(str, roles)) == ["master"] * MASTERS + ["slave"] * MASTERS

    def await_whole(self, seconds: float = _FORM_SECONDS) -> None:
        await_condition(self.is_whole, "the cluster is whole", seconds=seconds, every=0.1)

    def fail_over(self, master: RedisServer) -> RedisServer:
        """Kill a master; return its replica once that serves its slots, as the remaining masters see it."""
        replica = self.replica_of(master)
        master.kill()
        self.await_promoted(replica)
        return replica

    def await_promoted(self, replica: RedisServer, seconds: float = 30) -> None:
        def serves() -> bool:
            return "master" in _myself(replica).split(" ", 3)[2] and all(self._owners())

        await_condition(serves, f"the node at {replica.port} serves in its master's place", seconds=seconds, every=0.1)

    def be_patient(self, seconds: float) -> None:
        """Let the nodes take a silent master for failed after so long; `heal` sets them back."""
        for node in self.nodes:
            if node.running and not node.frozen:
                with client(node) as asked:
                    asked.config_set("cluster-node-timeout", round(seconds * 1000))

    def heal(self) -> None:
        """Thaw and start what is not up; return when the cluster is whole."""
        for node in self.nodes:
            if node.running:
                node.thaw()
            else:
                node.start()
            with client(node) as asked:
                asked.config_set("masterauth", "")
        self.be_patient(NODE_TIMEOUT_SECONDS)
        self.await_whole(60)

    def empty(self) -> None:
        """Take every key away."""
        for node in self.masters():
            with client(node) as asked:
                asked.flushall()

    def cut_off(self, replica: RedisServer) -> None:
        """Let a replica get nothing more from its master, and neither notice: it is still there to take over.

        Freezing it would not do: what reached its socket it applies when it is thawed, and nothing would be lost.
        """
        with client(replica) as follower, client(self._master_of_replica(replica)) as master:
            follower.config_set("masterauth", "of nobody")
            master.execute_command("CLIENT KILL TYPE replica")
            await_condition(
                lambda: follower.info("replication")["master_link_status"] == "down", "it is cut off", seconds=10
            )

    def moving(self, slot: int) -> "SlotMove":
        """Begin to move a slot to the next master; from here on its keys may lie on either side."""
        source = self.master_of(slot)
        others = [node for node in self.masters() if node is not source]
        return SlotMove(self, slot, source, others[slot % len(others)])

    def give_at_once(self, slot: int) -> RedisServer:
        """Give a slot to the next master in one step, as Valkey 9 can, and return that."""
        source = self.master_of(slot)
        others = [node for node in self.masters() if node is not source]
        target = others[slot % len(others)]
        with client(target) as there, client(source) as here:
            name = there.execute_command("CLUSTER MYID")
            here.execute_command("CLUSTER MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", name)
        await_condition(lambda: self.master_of(slot) is target, f"slot {slot} is given away", seconds=_MOVE_SECONDS)
        return target

    def close(self) -> None:
        for node in self.nodes:
            node.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _made(self, number: int) -> RedisServer:
        directory = self.directory / str(number)
        directory.mkdir()
        port, bus = free_ports(2)
        return RedisServer(self._program, directory, port, [*self._arguments, "--cluster-port", str(bus)])

    def _form(self) -> None:
        for node in self.nodes:
            node.start()
        first, buses = self.nodes[0], [node.arguments[-1] for node in self.nodes]
        share = -(-SLOTS // MASTERS)
        for number, node in enumerate(self.nodes):
            with client(node) as asked:
                asked.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
                if number < MASTERS:
                    end = min(SLOTS, (number + 1) * share) - 1
                    asked.execute_command("CLUSTER ADDSLOTSRANGE", number * share, end)
                if node is not first:
                    asked.execute_command("CLUSTER MEET", LOOPBACK, first.port, buses[0])
        await_condition(self._all_know_all, "the nodes know each other", seconds=_FORM_SECONDS, every=0.05)
        for master, replica in zip(self.nodes[:MASTERS], self.nodes[MASTERS:], strict=True):
            with client(master) as asked, client(replica) as follower:
                follower.execute_command("CLUSTER REPLICATE", asked.execute_command("CLUSTER MYID"))
        self.await_whole()

    def _all_know_all(self) -> bool:
        return all(_knows(node, len(self.nodes)) for node in self.nodes)

    def _owners(self) -> list[Address | None]:
        """Return which address serves each slot, as a running node says that sees a whole cluster; else as any does."""
        owners: list[Address | None] = [None] * SLOTS
        for node in self.nodes:
            if not node.running or node.frozen:
                continue
            with client(node) as asked:
                found = read_slots(asked.execute_command("CLUSTER", "SLOTS"), Address(LOOPBACK, node.port))
                if asked.execute_command("CLUSTER", "INFO").startswith(b"cluster_state:ok"):
                    return list(found.owners)
            owners = list(found.owners)
        return owners

    def _master_of_replica(self, replica: RedisServer) -> RedisServer:
        with client(replica) as asked:
            return self._at(int(asked.info("replication")["master_port"]))

    def _at(self, port: int) -> RedisServer:
        return next(node for node in self.nodes if node.port == port)


class SlotMove:
    """A slot on its way from `source` to `target`; `move` takes keys over, `end` gives the slot away.

    The steps are those of `redis-cli --cluster reshard`.
    """

    def __init__(self, cluster: RedisCluster, slot: int, source: RedisServer, target: RedisServer) -> None:
        self.slot, self.source, self.target = slot, source, target
        self._cluster = cluster
        with client(source) as here, client(target) as there:
            self._target_id = there.execute_command("CLUSTER MYID")
            there.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", here.execute_command("CLUSTER MYID"))
            here.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", self._target_id)

    def move(self, keys: int) -> int:
        """Move up to so many keys; return how many there were."""
        with client(self.source) as here:
            found: list[Any] = here.execute_command("CLUSTER GETKEYSINSLOT", self.slot, keys)
            if found:
                here.execute_command("MIGRATE", LOOPBACK, self.target.port, "", 0, 5000, "KEYS", *found)
            return len(found)

    def move_key(self, key: str) -> None:
        with client(self.source) as here:
            here.execute_command("MIGRATE", LOOPBACK, self.target.port, key, 0, 5000)

    def end(self) -> None:
        """Move what is left, and give the slot to the target."""
        deadline = time.monotonic() + _MOVE_SECONDS
        while self.move(100):
            assert time.monotonic() < deadline, f"keys keep coming into slot {self.slot}"
        for node in (self.target, self.source, *self._cluster.masters()):
            with client(node) as asked:
                asked.execute_command("CLUSTER SETSLOT", self.slot, "NODE", self._target_id)


def error_counts(nodes: Sequence[RedisServer]) -> dict[str, int]:
    """Return how often the running nodes answered each error, by its first word: MOVED, ASK, TRYAGAIN, …"""
    found: dict[str, int] = {}
    for node in nodes:
        if node.running:
            with client(node) as asked:
                for name, row in asked.info("errorstats").items():
                    word = name.removeprefix("errorstat_")
                    found[word] = found.get(word, 0) + int(row["count"])
    return found


def held(node: RedisServer, key: str, field: str) -> bytes | None:
    """Return what a node itself holds in a field, be it a replica."""
    with client(node) as asked, asked.pipeline(transaction=False) as calls:
        calls.execute_command("READONLY")
        calls.hget(key, field)
        found: bytes | None = calls.execute()[1]
        return found


def client(node: RedisServer) -> Redis:
    """A client of one node alone."""
    return Redis(host=LOOPBACK, port=node.port, socket_timeout=10)


def _myself(node: RedisServer) -> str:
    try:
        with client(node) as asked:
            lines = asked.execute_command("CLUSTER", "NODES").decode().splitlines()
    except RedisError:
        return "- - - -"
    return str(next(line for line in lines if "myself" in line))


def _knows(node: RedisServer, count: int) -> bool:
    with client(node) as asked:
        lines = asked.execute_command("CLUSTER", "NODES").decode().splitlines()
    return len(lines) == count and not any("handshake" in line or "noaddr" in line for line in lines)


def _role_if_in_step(node: RedisServer) -> str | None:
    try:
        with client(node) as asked:
            state = asked.execute_command("CLUSTER", "INFO").decode()
            link = asked.info("replication")
    except RedisError:
        return None
    follows = link["role"] == "master" or link["master_link_status"] == "up"
    whole = "cluster_state:ok" in state and f"cluster_slots_ok:{SLOTS}" in state
    return str(link["role"]) if whole and follows else None

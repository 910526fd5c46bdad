"""The faults that the soak draws from: of the matrix's rows 1 to 16, of 19 and of 24, those that end within 20 s.

Each does its harm and undoes it, and fails where the harm did not take place. A fault has ended when what was
published until it was undone is applied and every process is ready (`System.settle`).
"""

import hashlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files

from services.crash_points import KILLED, POINTS
from services.keyspace import state_key, tags
from services.redis_slots import slot_of
from tests.faults.soak.system import System, redis_client
from tests.support.pipeline import await_condition
from tests.support.ports import LOOPBACK, free_ports
from tests.support.redis_cluster import held
from tests.support.redis_server import RedisServer

FREEZE_SECONDS = 8
"""Beyond the session of 6 s, so that the partitions have another owner when it wakes."""

AHEAD_SECONDS = 60
"""For an apply: after a fault that the next one did not wait for, none may come for a while."""

_APPLY = hashlib.sha1(files("services").joinpath("lua", "apply.lua").read_bytes()).hexdigest().encode()
"""By which Redis is told to run the apply script."""

Inject = Callable[[System, random.Random], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`row` is that of the fault matrix."""

    name: str
    row: int
    inject: Inject


def draw(
    seed: int, faults: Sequence[Fault] | None = None, first: Sequence[Fault] = ()
) -> Iterator[tuple[Fault, random.Random]]:
    """Yield faults for ever, each with what it draws from; all kinds come before one comes again.

    Args:
        faults: the kinds; `FAULTS` if None.
        first: those of them that come before the others, so that a short soak has them.
    """
    kinds = FAULTS if faults is None else faults
    order = random.Random(f"order of {seed}")
    number = 0
    while True:
        for fault in sorted(
            order.sample(kinds, len(kinds)), key=lambda each: number < len(kinds) and each not in first
        ):
            yield fault, random.Random(f"fault {number} of {seed}")
            number += 1


def draw_for(system: System, seed: int) -> Iterator[tuple[Fault, random.Random]]:
    """Yield the faults that a system can have."""
    faults = CLUSTER_FAULTS if system.on_cluster else FAULTS
    wanted = (*(OF_CLUSTER if system.on_cluster else ()), *(OF_BROKERS if system.secured else ()))
    return draw(seed, faults, wanted)


def _killed(role: str, system: System, rng: random.Random) -> None:
    worker = system.one_of(role, rng)
    ended = len(worker.exits)
    worker.kill()
    assert worker.await_exit(ended + 1).code == -signal.SIGKILL


def _dies_at(point: str, system: System, rng: random.Random) -> None:
    worker = system.one_of(point.partition(".")[0], rng)
    ended = len(worker.exits)
    worker.restarts = False
    worker.kill()
    worker.await_exit(ended + 1)
    worker.start(testing__crash_point=f"{point}:{rng.randint(1, 5)}")
    worker.restarts = True
    assert worker.await_exit(ended + 2).code == KILLED, worker.tail()


def _frozen(role: str, system: System, rng: random.Random) -> None:
    worker = system.one_of(role, rng)
    worker.freeze()
    time.sleep(FREEZE_SECONDS)
    worker.thaw()
    assert worker.running


def _reply_cut(system: System, rng: random.Random) -> None:
    cuts = system.redis_proxy.cuts
    system.redis_proxy.cut_reply(lambda request: _APPLY in request)
    await_condition(
        lambda: system.redis_proxy.cuts > cuts, "an apply is sent and its reply lost", seconds=AHEAD_SECONDS
    )


def _one_more(role: str, system: System, rng: random.Random) -> None:
    """Start another worker and stop it: two rebalances."""
    worker = system.deployment.worker(role)
    try:
        worker.start()
        worker.await_ready()
        time.sleep(rng.uniform(0, 2))
        assert worker.stop() == 0, worker.tail()
    finally:
        worker.close()
        system.workers.remove(worker)


def _broker_killed(system: System, rng: random.Random) -> None:
    kafka, _ = system.broker(rng)
    kafka.kill()
    time.sleep(rng.uniform(0, 2))
    kafka.start()


def _broker_frozen(system: System, rng: random.Random) -> None:
    kafka, _ = system.broker(rng)
    os.kill(kafka.pid, signal.SIGSTOP)
    try:
        time.sleep(rng.uniform(3, 9))
    finally:
        os.kill(kafka.pid, signal.SIGCONT)


def _broker_cut_off(system: System, rng: random.Random) -> None:
    _, proxy = system.broker(rng)
    proxy.drop()
    try:
        time.sleep(rng.uniform(3, 9))
    finally:
        proxy.restore()


def _broker_reset(system: System, rng: random.Random) -> None:
    _, proxy = system.broker(rng)
    proxy.reset()


def _redis_reset(system: System, rng: random.Random) -> None:
    system.redis_proxy.reset()


def _redis_slow(system: System, rng: random.Random) -> None:
    system.redis_proxy.delay(rng.uniform(0.05, 0.3))
    try:
        time.sleep(rng.uniform(3, 6))
    finally:
        system.redis_proxy.delay(0)


def _redis_cut_off(system: System, rng: random.Random) -> None:
    """Silent for longer, now and then, than a call may take (5 s)."""
    system.redis_proxy.drop()
    try:
        time.sleep(rng.uniform(3, 9))
    finally:
        system.redis_proxy.restore()


def _redis_killed(system: System, rng: random.Random) -> None:
    system.redis.kill()
    time.sleep(rng.uniform(0, 2))
    system.redis.start()


def _redis_restored(system: System, rng: random.Random) -> None:
    """An older append-only file comes back: the counters and the applied offsets with it."""
    copy = system.copy_of_redis()
    copied = system.applied()
    time.sleep(rng.uniform(2, 5))
    _await_ahead(system, copied)
    system.redis_proxy.refuse()
    before = system.applied()
    system.redis.kill()
    system.restore_redis(copy)
    system.redis.start()
    _assert_went_back(before, system.applied())
    system.redis_proxy.restore()


def _replica_promoted(system: System, rng: random.Random) -> None:
    """The primary dies with writes that its replica never got; the replica serves, at first read-only."""
    primary, replica = system.redis, RedisServer.start_new()
    with redis_client(replica) as client:
        client.replicaof(LOOPBACK, primary.port)
        await_condition(
            lambda: client.info("replication")["master_link_status"] == "up", "the replica is in step", seconds=60
        )
        time.sleep(1)
        # A primary that is nowhere: the replica keeps what it has and stays read-only.
        client.replicaof(LOOPBACK, free_ports(1)[0])
        replicated = system.applied()
        time.sleep(rng.uniform(1, 3))
        _await_ahead(system, replicated)
        system.redis_proxy.refuse()
        before = system.applied()
        primary.kill()
        system.redis = replica
        primary.close()
        _assert_went_back(before, system.applied())
        system.redis_proxy.retarget(replica.port)
        system.redis_proxy.restore()
        time.sleep(rng.uniform(0, 2))
        client.replicaof("NO", "ONE")


def _redis_full(system: System, rng: random.Random) -> None:
    with redis_client(system.redis) as client:
        client.config_resetstat()
        client.config_set("maxmemory", client.info("memory")["used_memory"] // 2)
        try:
            await_condition(
                lambda: "errorstat_OOM" in client.info("errorstats"),
                "a write is refused for lack of memory",
                seconds=30,
            )
            time.sleep(rng.uniform(0, 5))
        finally:
            client.config_set("maxmemory", 0)


def _master_failed_over(system: System, rng: random.Random) -> None:
    """A master dies with writes that its replica never got; the replica takes over, and has the dead one as its own."""
    cluster = system.cluster
    partition, state = _drawn_state(system, rng)
    master = cluster.master_of(slot_of(state))
    replica = cluster.replica_of(master)
    cluster.cut_off(replica)
    time.sleep(rng.uniform(1, 3))
    kept = int(held(replica, state, "cur") or -1)
    await_condition(
        lambda: system.applied()[partition] > kept, f"its replica, at {kept}, lacks something", seconds=AHEAD_SECONDS
    )
    assert cluster.fail_over(master) is replica
    cluster.heal()


def _slot_moved(system: System, rng: random.Random) -> None:
    """The slot of a partition goes to another master, and stays half-way for a while."""
    _, state = _drawn_state(system, rng)
    move = system.cluster.moving(slot_of(state))
    move.move(rng.randint(1, 500))
    time.sleep(rng.uniform(0, 3))
    move.end()


def _drawn_state(system: System, rng: random.Random) -> tuple[int, str]:
    """Return a partition and the key of its state."""
    names = tags(system.deployment.settings.topics.frames_partitions)
    partition = rng.randrange(len(names))
    return partition, state_key(names[partition])


def _await_ahead(system: System, held: list[int]) -> None:
    """Wait until something is applied beyond this, which the fault before may still hold up."""
    await_condition(
        lambda: any(now > then for now, then in zip(system.applied(), held, strict=True)),
        f"something beyond {held} is applied",
        seconds=AHEAD_SECONDS,
    )


def _assert_went_back(before: list[int], after: list[int]) -> None:
    assert any(now < then for then, now in zip(before, after, strict=True)), f"Redis lost nothing: {before} {after}"


def _fault(row: int, name: str, inject: Inject) -> Fault:
    return Fault(name=name, row=row, inject=inject)


FAULTS = (
    *(
        _fault(1 if point.startswith("ingest") else 4, f"dies at {point}", partial(_dies_at, point))
        for point in POINTS
        if point.startswith(("ingest.", "aggregator."))
    ),
    _fault(1, "ingest killed", partial(_killed, "ingest")),
    _fault(2, "ingest frozen beyond its session", partial(_frozen, "ingest")),
    _fault(4, "aggregator killed", partial(_killed, "aggregator")),
    _fault(4, "reply of an apply cut off", _reply_cut),
    _fault(4, "Redis connections reset", _redis_reset),
    _fault(4, "Redis slow", _redis_slow),
    _fault(4, "Redis cut off", _redis_cut_off),
    _fault(5, "aggregator frozen beyond its session", partial(_frozen, "aggregator")),
    _fault(7, "one more ingest, for a while", partial(_one_more, "ingest")),
    _fault(7, "one more aggregator, for a while", partial(_one_more, "aggregator")),
    _fault(8, "broker killed", _broker_killed),
    _fault(8, "broker connections reset", _broker_reset),
    _fault(9, "broker frozen", _broker_frozen),
    _fault(9, "broker cut off", _broker_cut_off),
    _fault(13, "Redis killed", _redis_killed),
    _fault(14, "older Redis file restored", _redis_restored),
    _fault(15, "replica promoted without the last writes", _replica_promoted),
    _fault(19, "Redis memory full", _redis_full),
)

OF_BROKERS = tuple(fault for fault in FAULTS if fault.inject is _broker_killed)
"""What a soak of several brokers must have."""
OF_ONE_REDIS = (
    _reply_cut,
    _redis_reset,
    _redis_slow,
    _redis_cut_off,
    _redis_killed,
    _redis_restored,
    _replica_promoted,
    _redis_full,
)
"""What is done to the one server, or to its proxy."""

OF_CLUSTER = (
    _fault(15, "master killed and failed over without the last writes", _master_failed_over),
    _fault(24, "slot moved to another master", _slot_moved),
)

CLUSTER_FAULTS = (*(fault for fault in FAULTS if fault.inject not in OF_ONE_REDIS), *OF_CLUSTER)

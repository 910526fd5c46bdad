"""A plan in words: each figure with its reason. Pure."""

from collections.abc import Iterator
from typing import Final

from services.capacity.costs import Role
from services.capacity.plan import API_REQUESTS, Plan

GIB: Final = 2.0**30
MIB: Final = 2.0**20

ROLE_MIB: Final = {Role.INGEST: 170, Role.AGGREGATOR: 345}
"""The most that one process had in `make bench` (deploy/docs/performance.md)."""

Row = tuple[str, str, str, str]

CELLS: Final = ("h", "d")
BITMAPS: Final = ("ha", "da")


def rows(found: Plan) -> list[Row]:
    """Return part, figure, value and reason of everything planned."""
    return [*_kafka(found), *_workers(found), *_redis(found), *_network(found), *_ends(found)]


def _kafka(found: Plan) -> Iterator[Row]:
    choices, disks, part = found.choices, found.disks, "Kafka"
    given = "given" if choices.events_partitions else f"four a worker at {choices.growth:g} times the peak"
    yield (
        part,
        "partitions of usage.events",
        f"{found.events_partitions}",
        f"{given}; the largest has {found.largest_source:.0%}",
    )
    given = (
        "given" if choices.frames_partitions else f"P, four a worker at {choices.growth:g} times the peak, at least 16"
    )
    yield (
        part,
        "partitions of usage.frames",
        f"{found.frames_partitions}",
        f"{given}; the largest has {found.largest_partition:.0%} of the events",
    )
    copies = f"{choices.replication} replicas"
    days = choices.keeps.events_s / 86_400
    yield (
        part,
        "disk, usage.events",
        size(disks.events),
        f"{days:g} days of {found.demand.event_bytes:g} bytes an event, {copies}",
    )
    yield (
        part,
        "disk, usage.frames",
        size(disks.frames),
        f"{choices.keeps.frames_s / 86_400:g} days, {disks.frames_per_second:,.0f} frames/s, {copies}",
    )
    refused, days = f"{found.demand.dead_letter_share:.1%}", choices.keeps.dead_letters_s / 86_400
    why = f"{refused} of the records, {days:g} days, {copies}"
    yield part, "disk, dead letters and directory", size(disks.dead_letters + disks.directory), why


def _workers(found: Plan) -> Iterator[Row]:
    part, peak = "workers", found.demand.peak_per_second
    for role, count, share in (
        (Role.INGEST, found.ingest_workers, found.largest_source),
        (Role.AGGREGATOR, found.aggregators, found.largest_partition),
    ):
        spent = found.microseconds[role]
        most = f"no worker above {found.choices.utilization:.0%}"
        why = f"{cores(peak * spent)} at the peak: {spent:.1f} µs an event, fewer when more come; {most}"
        if count is None:
            why = f"{spent:.1f} µs an event: no number is enough, since one partition has {share:.0%}"
        yield part, role.value, "none" if count is None else f"{count}", why
        yield (
            part,
            f"{role.value}, memory of each",
            f"{ROLE_MIB[role]} MiB",
            "the most seen in make bench; give half as much again",
        )
    requests = found.choices.requests_per_second
    yield (
        part,
        "API",
        f"{found.api_workers}",
        f"{requests:g} requests/s, of which a process answers {API_REQUESTS:,.0f}",
    )
    spent = found.microseconds[Role.BROKER]
    yield part, "brokers, cores", f"{peak * spent / 1e6:.2g}", f"{spent:.1f} µs an event, without replication and TLS"
    yield part, "all roles, cores", f"{found.cores:.2g}", "at the peak, Redis and brokers with them"
    if found.catch_up_s is None:
        yield part, "catching up", "never", "the workers planned count less than comes on average"
    else:
        yield (
            part,
            f"catching up after {duration(found.choices.outage_s)}",
            duration(found.catch_up_s),
            f"at the average rate; these workers count up to {found.capacity:,.0f} events/s",
        )


def _redis(found: Plan) -> Iterator[Row]:
    part, needs, kinds = "Redis", found.redis, found.memory.bytes
    held = f"{found.memory.cells:,.0f} cells of hours and days"
    yield part, "counters", size(sum(kinds[kind] for kind in CELLS)), held
    yield part, "active users", size(sum(kinds[kind] for kind in BITMAPS) + kinds["i"]), "bitmaps, and the user indexes"
    yield (
        part,
        "identities",
        size(kinds["x"]),
        f"{found.memory.identities:,.0f} of events.max_age, dedup_margin and a week",
    )
    rest = kinds["l"] + kinds["state"] + kinds.get("r", 0.0)
    yield part, "ledger, state, directory", size(rest), "the directory is most of it"
    yield part, "used memory", size(needs.used), "all of these with the tables of keys and ends"
    each = needs.fullest
    of_each = "" if needs.masters == 1 else ", the fullest master"
    why = "four partitions a second time, at worst the largest"
    yield part, f"verify or rebuild{of_each}", size(each.shadows), why
    why = "used, verify or rebuild, a tenth for the allocator, buffers"
    yield part, f"maxmemory{of_each}", size(each.maxmemory), why
    why = f"maxmemory, and {size(each.copied)} copied while the file is written anew at the peak"
    yield part, f"memory of the machine{of_each}", size(each.resident), why
    why = "append-only file, as much again before it is written anew, and the new one"
    yield part, f"disk{of_each}", size(each.disk), why
    yield (
        part,
        "cores",
        f"{needs.load:.2g}",
        f"{found.microseconds[Role.REDIS]:.1f} µs an event, fewer when more come; a Redis is one thread",
    )
    yield part, "masters", "none" if needs.masters is None else f"{needs.masters}", _why_masters(found)


def _why_masters(found: Plan) -> str:
    needs, node = found.redis, size(found.choices.node_bytes)
    if needs.masters_by_memory is None:
        return f"no number keeps each below {node}: the largest partition alone is larger"
    if needs.masters_by_load is None:
        return f"no number keeps each below {found.choices.utilization:.0%}: the largest partition alone is more"
    if not needs.cluster:
        return f"one Redis does: below {node} and {found.choices.utilization:.0%} of a core; no cluster needed"
    by_memory = f"{needs.masters_by_memory} by memory ({node} each)"
    return f"a Redis Cluster: {by_memory}, {needs.masters_by_load} by load; slots placed by load; each with a replica"


def _network(found: Plan) -> Iterator[Row]:
    part, disks = "network", found.disks
    yield (
        part,
        "into Kafka, and out of it",
        f"{disks.kafka_in / 1e6:,.1f} MB/s",
        "events and frames with their replicas, at the peak",
    )
    yield part, "into Redis", f"{disks.redis_in / 1e6:,.1f} MB/s", "cells and identities, at the peak"


def _ends(found: Plan) -> Iterator[Row]:
    for number, end in enumerate(found.ends):
        yield (
            "what ends first" if not number else "then",
            end.what,
            f"{end.per_second:,.0f} events/s",
            end.remedy,
        )


def sentences(found: Plan) -> Iterator[str]:
    """Yield what the table does not say."""
    demand = found.demand
    yield (
        f"{demand.events_per_second:g} events/s on average and {demand.peak_per_second:g} at the peak:"
        f" {demand.events_a_user_day:,.0f} events of a user on an active day. Memory is what is there"
        " when all that is kept has come in."
    )
    yield (
        "Add one worker of each role for the time in which one is away. Within 25 % of what was measured:"
        " deploy/docs/capacity.md says where."
    )


def size(count: float) -> str:
    """Return bytes in words."""
    return f"{count / GIB:,.1f} GiB" if count >= GIB else f"{count / MIB:,.1f} MiB"


def cores(micros_a_second: float) -> str:
    """Return cores with two figures that matter."""
    return f"{micros_a_second / 1e6:.2g} cores"


def duration(seconds: float) -> str:
    """Return a time in words, as precise as it matters."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"

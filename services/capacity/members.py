"""A plan as JSON. Pure."""

from typing import Any

from services.capacity.plan import Plan


def members(found: Plan) -> dict[str, Any]:
    """Return the plan for programs: bytes, seconds and cores; null where no number is enough."""
    demand, needs, disks = found.demand, found.redis, found.disks
    return {
        "demand": {
            "eventsPerSecond": demand.events_per_second,
            "peakEventsPerSecond": demand.peak_per_second,
            "users": demand.users,
            "organizations": demand.organizations,
            "teams": demand.teams,
            "eventsPerUserAndActiveDay": round(demand.events_a_user_day, 2),
        },
        "holds": found.holds,
        "kafka": {
            "eventsPartitions": found.events_partitions,
            "framesPartitions": found.frames_partitions,
            "largestEventsPartitionShare": round(found.largest_source, 4),
            "largestFramesPartitionShare": round(found.largest_partition, 4),
            "diskBytes": {
                "events": round(disks.events),
                "frames": round(disks.frames),
                "deadLetters": round(disks.dead_letters),
                "directory": round(disks.directory),
            },
            "bytesPerSecond": round(disks.kafka_in),
        },
        "workers": {"ingest": found.ingest_workers, "aggregator": found.aggregators, "api": found.api_workers},
        "microsecondsPerEvent": {role.value: round(spent, 2) for role, spent in found.microseconds.items()},
        "cores": round(found.cores, 3),
        "eventsPerSecondOfTheseWorkers": round(found.capacity),
        "catchUpSeconds": None if found.catch_up_s is None else round(found.catch_up_s, 1),
        "redis": {
            "usedBytes": round(needs.used),
            "bytesByKind": {kind: round(held) for kind, held in found.memory.bytes.items()},
            "cells": round(found.memory.cells),
            "identities": round(found.memory.identities),
            "ofFullestMaster": {
                "usedBytes": round(needs.fullest.used),
                "rebuildBytes": round(needs.fullest.shadows),
                "copiedBytes": round(needs.fullest.copied),
                "maxmemoryBytes": round(needs.fullest.maxmemory),
                "machineBytes": round(needs.fullest.resident),
                "diskBytes": round(needs.fullest.disk),
            },
            "cores": round(needs.load, 3),
            "masters": needs.masters,
            "mastersByLoad": needs.masters_by_load,
            "mastersByMemory": needs.masters_by_memory,
            "cluster": needs.cluster,
            "bytesPerSecond": round(disks.redis_in),
        },
        "ends": [
            {"what": end.what, "eventsPerSecond": round(end.per_second), "remedy": end.remedy} for end in found.ends
        ],
    }

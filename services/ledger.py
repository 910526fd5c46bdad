"""The ledger: what became of the records of a source partition, by hour of broker time, in one partition's slot.

A row is a packed value (`services.counter_codec`) of the numbers in `ENTRIES`. A source's received and dead-lettered
records are counted in its home slot (source partition modulo P), the others in the slot of their organization: summed
over all slots, received = counted + duplicate + dead-lettered, for every hour that ended before `asOf`. Redelivered
records stand apart: they were received before.
"""

from typing import Final

ENTRIES: Final = ("received", "counted", "duplicate", "redelivered", "dead_lettered")

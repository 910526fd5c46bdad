"""The ids that travel through Tidemark, as distinct types.

All are plain values at run time; the types keep an organization's id from standing where a user's belongs.
"""

from typing import NewType

OrganizationId = NewType("OrganizationId", str)
TeamId = NewType("TeamId", str)
UserId = NewType("UserId", str)

PartitionId = NewType("PartitionId", int)
"""A partition of `usage.frames`, 0 to P - 1; it owns one hash tag of the Redis keys."""

Epoch = NewType("Epoch", int)
"""Generation of a partition's counters, from 1; a rebuild writes the next one."""

FrameOffset = NewType("FrameOffset", int)
"""Offset of a frame in its partition of `usage.frames`."""

FrameId = NewType("FrameId", int)
"""Random 64-bit number in a frame's header, unsigned."""

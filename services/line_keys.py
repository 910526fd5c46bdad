"""The Kafka key of a line that is published as it is: its organization, so that its events stay in order."""

import re
from typing import Final

_ORGANIZATION: Final = re.compile(rb'"organizationid"\s*:\s*"([^"\\]+)"')


def organization_key(line: bytes) -> bytes | None:
    """Return the organization as the line writes it, None where none is found. The line need not be a good event."""
    found = _ORGANIZATION.search(line)
    return found[1] if found else None

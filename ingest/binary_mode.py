"""A record in binary mode as ingest judges it: as the structured event that it stands for. Pure.

The same contract, the same reasons, field names without `ce_`. Its length is that of the structured form.
"""

from ingest.verdicts import AdmissionRules, Rejected
from services import binary_mode
from services.binary_mode import Headers, is_binary_mode
from services.record_object import RecordFault

__all__ = ["is_binary_mode", "structured_form"]


def structured_form(value: bytes | None, headers: Headers, rules: AdmissionRules) -> bytes | Rejected:
    """Return the structured event in JSON, or why there is none; arguments as `services.binary_mode`."""
    try:
        return binary_mode.structured_form(value, headers, rules.max_bytes)
    except RecordFault as fault:
        return Rejected(reason=fault.reason, field=fault.field, detail=fault.detail)

"""Is a record an event of the contract? The one judge of it, quick for good ones. Pure.

Most of the contract is checked by msgspec while it decodes; the rest here, from what is remembered of earlier events.
What the quick way does not pass is looked at again by `ingest.diagnosis`, which alone gives reasons.

Duplicate keys: msgspec silently keeps the last of two equal keys. So the decoded event is written again, compactly
and without what is at its default, which takes the fewest bytes that this event can take: a text written again escapes
only what must be escaped, in the shortest way, and a number has no sign or leading zero.

- As long as the record: nothing can be in the record that is not in the event, so no key is there twice.
- Else, no backslash in the record, so that every `"` bounds a text: as many `"` as in the event written again means as
  many keys and texts. A second equal key, an unknown key that was ignored, a null or an explicit "" would add some.
- Else the record is parsed strictly.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from ingest.binary_mode import is_binary_mode, structured_form
from ingest.diagnosis import diagnose
from ingest.time_reader import TimeReader
from ingest.verdicts import AdmissionRules, Admitted, Rejected
from services.dead_letters import Reason
from services.event_rules import WrongTime, is_id_text, is_identity_text
from services.events import ReceivedEvent, received_decoder
from services.strict_json import has_duplicate_keys

__all__ = ["Admission", "Admitted", "Rejected"]

REMEMBERED_MAX: Final = 200_000
"""Ids known to be good; at most 128 characters each (sources 256), so some tens of MB when full. Then anew."""

NO_LIMIT_MS: Final = 2**62
_new = tuple.__new__


class Admission:
    """Judges records one by one; remembers good ids and times, which changes no verdict.

    What `ingest.admission_of_many` takes the same steps with:

    Attributes:
        max_bytes, max_age_ms, max_ahead_ms: of the rules.
        decode, encode_lines: a record's value to an event, and events back in the fewest bytes, a line each.
        time_ms: reads an event's `time`.
        good_ids, good_sources: remembered as good.
    """

    def __init__(self, rules: AdmissionRules) -> None:
        self._rules = rules
        self.max_bytes = rules.max_bytes
        self.max_age_ms = NO_LIMIT_MS if rules.max_age_ms is None else rules.max_age_ms
        self.max_ahead_ms = rules.max_ahead_ms
        self.decode = received_decoder("ignore" if rules.ignore_unknown else "refuse").decode
        encoder = msgspec.json.Encoder()
        self._encode, self.encode_lines = encoder.encode, encoder.encode_lines
        self.time_ms = TimeReader().read_ms
        self.good_ids: set[str | None] = {None}
        self.good_sources: set[str] = set()

    def admit(
        self, value: bytes | None, broker_ms: int, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Admitted | Rejected:
        """Return the event, or why the record is none.

        Args:
            value: of the record.
            broker_ms: the record's broker timestamp, which its age is judged by.
            headers: of the record; they matter in binary mode only.
        """
        if headers and is_binary_mode(headers):
            form = structured_form(value, headers, self._rules)
            return form if isinstance(form, Rejected) else self.admit(form, broker_ms)
        if value is None or len(value) > self.max_bytes:
            return self._rejected(value, broker_ms, "no value, or too long")
        try:
            event = self.decode(value)
            time_ms = self.time_ms(event.time)
        except (msgspec.MsgspecError, UnicodeError, RecursionError, WrongTime) as error:
            return self._rejected(value, broker_ms, str(error))
        good = self.good_ids
        if not (
            event.subject in good
            and event.organizationid in good
            and event.teamid in good
            and event.source in self.good_sources
            and event.id.isprintable()
        ) and not self._are_ids_good(event):
            return self._rejected(value, broker_ms, "an id breaks the contract")
        if not broker_ms - self.max_age_ms <= time_ms <= broker_ms + self.max_ahead_ms:
            return self._rejected(value, broker_ms, "the time is too far from the broker's")
        written = self._encode(event)
        if len(written) != len(value) and self.is_suspect(value, written):
            rejected = diagnose(value, self._rules, broker_ms)
            if rejected is not None:
                return rejected
        return _new(Admitted, (event.product, event, time_ms))

    def _rejected(self, value: bytes | None, broker_ms: int, words: str) -> Rejected:
        """Return the diagnosis; `words` stand in should it see no fault, so that a refused record stays refused."""
        rejected = diagnose(value, self._rules, broker_ms)
        return rejected or Rejected(reason=Reason.WRONG_TYPE, field=None, detail=words)

    def is_suspect(self, value: bytes, written: bytes) -> bool:
        """Whether the record may hold a duplicate key, or what was ignored."""
        if b"\\" not in value and value.count(b'"') == written.count(b'"'):
            return False
        return self._rules.ignore_unknown or has_duplicate_keys(value.decode())

    def _are_ids_good(self, event: ReceivedEvent) -> bool:
        """Check the ids that are not remembered, and remember them."""
        ids = {event.subject, event.organizationid, event.teamid} - self.good_ids
        if not all(text is None or is_id_text(text) for text in ids):
            return False
        if not (is_identity_text(event.source) and is_identity_text(event.id)):
            return False
        if len(self.good_ids) > REMEMBERED_MAX:
            self.good_ids = {None}
        if len(self.good_sources) > REMEMBERED_MAX:
            self.good_sources = set()
        self.good_ids |= ids
        self.good_sources.add(event.source)
        return True

"""Why a record is refused, said slowly and carefully: one reason and one field, always the same for the same bytes.

The first fault in this order is the one named:

1. the record: `null_record`, `too_large`, `not_utf8`, `too_deep`, `not_json`;
2. the value as JSON: `duplicate_key`, `not_a_number`, `not_an_object`;
3. the attributes in the contract's order, each: `missing_attribute`, `wrong_type`, then what its own rule says;
4. attributes that the contract does not know: `unknown_field`;
5. `data`: `missing_attribute`, `not_an_object`, its fields in the contract's order (`wrong_type`, `not_an_integer`,
   `negative`, `too_big`), then `unknown_field`;
6. half of a surrogate pair in any other text: `wrong_type`;
7. `in_the_future`, `too_old`.

A null attribute counts as absent, as the JSON format of CloudEvents says; a null in `data` does not.
"""

from collections.abc import Callable, Iterable
from typing import Final

from ingest.verdicts import AdmissionRules, Rejected
from services.dead_letters import Reason
from services.event_rules import (
    TimeWithoutOffset,
    WrongTime,
    has_bad_id_characters,
    has_bad_identity_characters,
    read_time_ms,
)
from services.events import (
    EVENT_CLASSES,
    ID_CHARACTERS_MAX,
    IDENTITY_CHARACTERS_MAX,
    RESERVED_IDS,
    SPECVERSION,
    TEXT_CHARACTERS_MAX,
    text_names,
)
from services.metrics_contract import AMOUNT_MAX, PRODUCTS, Product
from services.record_object import RecordFault, read_object
from services.strict_json import Members, lone_surrogate

FIELD_CHARACTERS_MAX: Final = 200
"""A field's name may come from the record; longer ones are cut."""

_PRODUCT_OF_TYPE: Final = {product.event_type: product for product in PRODUCTS}
_OPTIONAL: Final = ("datacontenttype", "dataschema", "traceparent", "tracestate")
_ATTRIBUTES: Final = frozenset({*EVENT_CLASSES[0].__struct_fields__, "type"})


def diagnose(value: bytes | None, rules: AdmissionRules, broker_ms: int) -> Rejected | None:
    """Return the first fault of a record in structured form, or None when it has none.

    Args:
        value: of the record.
        rules: what the settings decide.
        broker_ms: the record's broker timestamp.
    """
    try:
        event = read_object(value, rules.max_bytes)
        time_ms, product = _check_attributes(event, rules)
        _check_data(event, product, rules)
        _check(lone_surrogate(event), Reason.WRONG_TYPE)
        _check_age(time_ms, broker_ms, rules)
    except RecordFault as fault:
        return _rejected(fault)
    return None


def object_fault(value: bytes | None, rules: AdmissionRules) -> Rejected | None:
    """Return the fault of the first two groups or the sixth, or None when the record holds one sound JSON object."""
    try:
        _check(lone_surrogate(read_object(value, rules.max_bytes)), Reason.WRONG_TYPE)
    except RecordFault as fault:
        return _rejected(fault)
    return None


def _rejected(fault: RecordFault) -> Rejected:
    cut = None if fault.field is None else fault.field[:FIELD_CHARACTERS_MAX]
    return Rejected(reason=fault.reason, field=cut, detail=fault.detail)


def _check(path: str | None, reason: Reason) -> None:
    if path is not None:
        raise RecordFault(reason, path or None)


def _check_attributes(event: Members, rules: AdmissionRules) -> tuple[int, Product]:
    """Check all attributes but `data`; return the time and what the type counts."""
    if _required(event, "specversion") != SPECVERSION:
        raise RecordFault(Reason.WRONG_TYPE, "specversion", f"not {SPECVERSION}")
    for name in ("id", "source"):
        _check_id(name, _required(event, name), IDENTITY_CHARACTERS_MAX, has_bad_identity_characters)
    product = _PRODUCT_OF_TYPE.get(_required(event, "type"))
    if product is None:
        raise RecordFault(Reason.UNKNOWN_TYPE, "type")
    time_ms = _time_ms(_required(event, "time"))
    for name in ("subject", "organizationid"):
        _check_key_id(name, _required(event, name))
    if (team := _optional(event, "teamid")) is not None:
        _check_key_id("teamid", team)
    for name in _OPTIONAL:
        _optional(event, name)
    _check_known(event.names(), _ATTRIBUTES, "", rules)
    return time_ms, product


def _required(event: Members, name: str) -> str:
    if (text := _optional(event, name)) is None:
        raise RecordFault(Reason.MISSING_ATTRIBUTE, name)
    return text


def _optional(event: Members, name: str) -> str | None:
    found = event.get(name)
    if found is not None and not isinstance(found, str):
        raise RecordFault(Reason.WRONG_TYPE, name, "not a text")
    return found


def _check_id(name: str, text: str, characters: int, has_bad: Callable[[str], bool]) -> None:
    if not text:
        raise RecordFault(Reason.EMPTY_ID, name)
    if len(text) > characters:
        raise RecordFault(Reason.ID_TOO_LONG, name)
    if has_bad(text):
        raise RecordFault(Reason.BAD_ID, name)


def _check_key_id(name: str, text: str) -> None:
    _check_id(name, text, ID_CHARACTERS_MAX, has_bad_id_characters)
    if text in RESERVED_IDS:
        raise RecordFault(Reason.RESERVED_ID, name)


def _time_ms(text: str) -> int:
    try:
        return read_time_ms(text)
    except TimeWithoutOffset as error:
        raise RecordFault(Reason.TIME_WITHOUT_OFFSET, "time") from error
    except WrongTime as error:
        raise RecordFault(Reason.WRONG_TYPE, "time", str(error)) from error


def _check_age(time_ms: int, broker_ms: int, rules: AdmissionRules) -> None:
    if reason := rules.age_fault(time_ms, broker_ms):
        raise RecordFault(reason, "time")


def _check_known(names: Iterable[str], known: Iterable[str], prefix: str, rules: AdmissionRules) -> None:
    if rules.ignore_unknown:
        return
    for name in names:
        if name not in known:
            raise RecordFault(Reason.UNKNOWN_FIELD, prefix + name)


def _check_data(event: Members, product: Product, rules: AdmissionRules) -> None:
    if "data" not in event.names():
        raise RecordFault(Reason.MISSING_ATTRIBUTE, "data")
    data = event.get("data")
    if not isinstance(data, Members):
        raise RecordFault(Reason.NOT_AN_OBJECT, "data")
    written = dict(data.pairs)
    texts = text_names(product.code)
    for name in product.counters:
        if name in written:
            _check_amount(f"data.{name}", written[name])
    for name in texts:
        if name in written:
            _check_text(f"data.{name}", written[name])
    _check_known(written, {*product.counters, *texts}, "data.", rules)


def _check_amount(path: str, amount: object) -> None:
    if isinstance(amount, float):
        raise RecordFault(Reason.NOT_AN_INTEGER, path)
    if not isinstance(amount, int) or isinstance(amount, bool):
        raise RecordFault(Reason.WRONG_TYPE, path, "not a number")
    if amount < 0:
        raise RecordFault(Reason.NEGATIVE, path)
    if amount > AMOUNT_MAX:
        raise RecordFault(Reason.TOO_BIG, path)


def _check_text(path: str, text: object) -> None:
    if not isinstance(text, str):
        raise RecordFault(Reason.WRONG_TYPE, path, "not a text")
    if len(text) > TEXT_CHARACTERS_MAX:
        raise RecordFault(Reason.TOO_BIG, path)

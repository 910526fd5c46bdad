"""What a schema cannot say: ids that exist and ranges that hold, put into the cases that schemathesis makes.

Half of the cases that follow the schema are mended whole, and must then be answered with 200; the other half in part,
and then a 400 may name one of the rules listed here. A case that breaks the schema is mended but for one place where
it does, so that nothing else can be the reason for its refusal.
"""

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

from schemathesis import Case, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import CaseMetadata, CoveragePhaseData, TestPhase, negated_parameters
from schemathesis.openapi.checks import RejectedPositiveData

from tests.fuzz.identities import Callers
from tests.fuzz.values import FOREIGN, IDS, edges, foreign, known

RULES: Final[Mapping[str, frozenset[str]]] = {
    "INVALID_PARAMETER": frozenset(("from", "to", "startDate")),
    "": frozenset(("filter",)),
}
"""The error codes with which a 400 may answer a case that follows the schema, and the parameters they may blame.

The envelope of the quota family has no code; its message begins with the parameter's name too.
"""

_LOCATIONS: Final = (ParameterLocation.PATH, ParameterLocation.QUERY, ParameterLocation.HEADER)
_HALF: Final = 0.5
_UNKNOWN_SHARE: Final = 0.1
_FOREIGN_SHARE: Final = 0.1
_OTHERS_SHARE: Final = 0.1

_TOKEN: Final = "Authorization"
_API_KEY: Final = "SlashID-API-Key"
_TAKE_API_KEYS: Final = "/organizations/"

AnyCase = Case[Any]
Place = tuple[str, ParameterLocation]


class Mender:
    """The hooks of one run of the engine."""

    def __init__(self, callers: Callers, now_ms: int) -> None:
        self._callers = callers
        self._now_ms = now_ms
        self._whole: set[str] = set()

    def mend(self, context: HookContext, case: AnyCase) -> AnyCase:
        """Hook `map_case`. What it chooses depends on the case alone, so a seed gives the same run again."""
        meta = case.meta
        if meta is None:
            return case
        # Tokens differ from run to run.
        headers = sorted((name, str(value)) for name, value in case.headers.items() if name not in (_TOKEN, _API_KEY))
        rng = random.Random(repr((case.operation.label, case.path_parameters, case.query, headers)))
        spared = frozenset(_spared(meta, rng))
        if meta.generation.mode.is_positive and rng.random() < _HALF:
            _put(case, self._in_part(rng), spared)
            self._call_as_another(case, rng)
        elif _put(case, known(rng, self._now_ms), spared):
            self._whole.add(case.id)
        self._call_with_api_key(case, rng)
        return case

    def must_be_answered(self, case: AnyCase) -> bool:
        """Whether a case follows the schema, and nothing else in it is wrong either."""
        return case.id in self._whole and case.meta is not None and case.meta.generation.mode.is_positive

    def keep(self, context: HookContext, failure: Failure, case: AnyCase, response: Response) -> bool:
        """Hook `filter_failure`: whether a failure is one. A 400 that names a listed rule is none."""
        if not isinstance(failure, RejectedPositiveData) or response.status_code != 400:
            return True
        return self.must_be_answered(case) or not names_a_rule(response.content)

    def _in_part(self, rng: random.Random) -> dict[str, str]:
        """Return what leaves the outcome open."""
        if rng.random() < _FOREIGN_SHARE:
            return foreign(rng, self._now_ms)
        values = {name: value for name, value in known(rng, self._now_ms).items() if name in IDS}
        for name in IDS:
            if rng.random() < _UNKNOWN_SHARE:
                del values[name]
        return values | edges(rng, self._now_ms) if rng.random() < _HALF else values

    def _call_as_another(self, case: AnyCase, rng: random.Random) -> None:
        if case.headers.get(_TOKEN) == self._callers.caller and rng.random() < _OTHERS_SHARE:
            case.headers[_TOKEN] = rng.choice(self._callers.others)

    def _call_with_api_key(self, case: AnyCase, rng: random.Random) -> None:
        """Send the key in place of the token, half of the time where either is taken."""
        takes_keys = case.operation.path.startswith(_TAKE_API_KEYS)
        if takes_keys and case.headers.get(_TOKEN) == self._callers.caller and rng.random() < _HALF:
            del case.headers[_TOKEN]
            case.headers[_API_KEY] = self._callers.api_key


def is_foreign(case: AnyCase) -> bool:
    """Whether a case asks for something of the other organization."""
    sent = {name: unquote(str(value)) for name, value in case.path_parameters.items()} | case.query | dict(case.headers)
    return any(sent.get(name) in values for name, values in FOREIGN.items())


def names_a_rule(body: bytes) -> bool:
    """Whether an error's body has a listed code and blames nothing but the parameters listed with it."""
    try:
        code, blamed = _blame(json.loads(body))
    except (ValueError, KeyError, TypeError):
        return False
    return bool(blamed) and blamed <= RULES.get(code, frozenset())


def _blame(error: dict[str, Any]) -> tuple[str, set[str]]:
    """Return the code and the parameters that an error's body names, of either family."""
    if "errors" in error:
        return "", {row["message"].partition(":")[0] for row in error["errors"]}
    return error["error"], set(error["details"]["parameters"])


def _spared(meta: CaseMetadata, rng: random.Random) -> Iterator[Place]:
    """Yield what a case is about: what breaks the schema, what coverage tries out, what an earlier answer gave."""
    if broken := sorted(set(negated_parameters(meta))):
        yield rng.choice(broken)
    data = meta.phase.data
    if isinstance(data, CoveragePhaseData) and data.parameter and data.parameter_location:
        yield data.parameter, data.parameter_location
    for draw in meta.pool_draws:
        yield draw.parameter_name, ParameterLocation(draw.location)
    if meta.phase.name is TestPhase.STATEFUL:
        yield from ((name, location) for name in IDS for location in _LOCATIONS)


def _put(case: AnyCase, values: Mapping[str, str], spared: frozenset[Place]) -> bool:
    """Put values where a case has parameters of these names; return whether none of them was spared."""
    whole = True
    containers = (case.path_parameters, case.query, case.headers)
    for location, container in zip(_LOCATIONS, containers, strict=True):
        for name in [name for name in container if name in values]:
            if (name, location) in spared:
                whole = False
            else:
                # Parts of a path are kept the way they are sent.
                container[name] = quote(values[name], "") if location is ParameterLocation.PATH else values[name]
    return whole

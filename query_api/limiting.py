"""Rate limits: a request counts for its token and its organization once its caller is known.

Not before, so that nobody can use up what is another's. Where it cannot be counted, Redis being away, it is answered
as the counters themselves would answer it: 503 (ADR 0011).
"""

from http import HTTPStatus

from fastapi import Request

from query_api.auth import API_KEY_HEADER, Check
from query_api.errors import ApiError
from services.rate_limits import Counted, read_rates
from services.redis_rates import RateCounts, RateStorage
from services.tokens import Claims


def rate_check(rates: str, storage: RateStorage | None) -> Check:
    """Return the check that ends a request over a rate with 429.

    Args:
        rates: the setting `api.rate_limit`.
        storage: where requests are counted; in this process if None.
    """
    counts = RateCounts(storage, read_rates(rates))

    async def within_rates(request: Request, claims: Claims) -> None:
        counted = {Counted.TOKEN: _credential(request), Counted.ORGANIZATION: claims.organization}
        if wait_s := await counts.wait_s(counted):
            raise ApiError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"too many requests; try again in {wait_s} s",
                headers={"Retry-After": str(wait_s)},
            )

    return within_rates


def _credential(request: Request) -> str:
    """Return what names the token or the API key that the caller was found by.

    Of a token that is all but its signature, of which several spellings may be valid.
    """
    _, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip().rpartition(".")[0] or request.headers.get(API_KEY_HEADER, "")

"""A parameter may be given once: of two values, whichever was taken would be the wrong one for somebody."""

from collections import Counter

from fastapi import Request

from query_api.errors import of_parameters
from query_api.parameters import ORGANIZATION_HEADER
from services.tokens import Claims


async def no_repeated_names(request: Request, _claims: Claims) -> None:
    """End a request that names a parameter twice with 400."""
    given = [name for name, _ in request.query_params.multi_items()]
    given += [ORGANIZATION_HEADER for _ in request.headers.getlist(ORGANIZATION_HEADER)]
    if len(set(given)) < len(given):
        counts = sorted(Counter(given).items())
        raise of_parameters({name: "it is given more than once" for name, count in counts if count > 1})

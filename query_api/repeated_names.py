"""A parameter may be given once: of two values, whichever was taken would be the wrong one for somebody."""

from collections import Counter

from fastapi import Request

from query_api.errors import of_parameters
from query_api.parameters import ORGANIZATION_HEADER
from services.tokens import Claims


async def no_repeated_names(request: Request, _claims: Claims) -> None:
    """End a request that names a parameter twice with 400."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    counts[ORGANIZATION_HEADER] += len(request.headers.getlist(ORGANIZATION_HEADER))
    if max(counts.values()) > 1:
        raise of_parameters({name: "it is given more than once" for name, count in sorted(counts.items()) if count > 1})

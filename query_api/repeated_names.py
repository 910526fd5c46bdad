"""A parameter may be given once: of two values, whichever was taken would be the wrong one for somebody."""

from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request

from query_api.errors import of_parameters
from query_api.parameters import ORGANIZATION_HEADER
from services.tokens import Claims


def single_valued(caller: Callable[..., Any]) -> Callable[..., Any]:
    """Return a dependency that gives what `caller` gives, or ends a request that names a parameter twice with 400."""

    async def single_valued_caller(request: Request, claims: Annotated[Claims, Depends(caller)]) -> Claims:
        counts = Counter(name for name, _ in request.query_params.multi_items())
        counts[ORGANIZATION_HEADER] += len(request.headers.getlist(ORGANIZATION_HEADER))
        twice = {name: "it is given more than once" for name, count in sorted(counts.items()) if count > 1}
        if twice:
            raise of_parameters(twice)
        return claims

    return single_valued_caller

"""Ask ECS whether a list may be read at all, since it answers an empty one if not.

With DryRun a call does nothing but check: "DryRunOperation" means that it is allowed
(https://help.aliyun.com/document_detail/25506.html).
"""

from typing import Any, TypeVar

import msgspec

from syncd.context import RunContext
from syncd.errors import Permission
from syncd.providers.aliyun.client import Client
from syncd.providers.calls import Refused

T = TypeVar("T")


def allowed(
    client: Client,
    ctx: RunContext,
    request: Any,  # noqa: ANN401 - the SDK has no types
    region: str,
    answer: msgspec.json.Decoder[T],
) -> bool | None:
    """Tell whether the account may make a call; None when the gateway knows no DryRun for it."""
    request.set_DryRun("true")
    try:
        client.call(ctx, request, region, answer)
    except Permission:
        return False
    except Refused as error:
        return True if error.code == "DryRunOperation" else None
    return None

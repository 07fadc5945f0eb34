"""The calls of Tencent Cloud that read: regions, zones, instances, their states, identity."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from syncd.demo.emulator.faults import Hits
from syncd.demo.emulator.pages import named, owner_id, render, total_offset, visible
from syncd.demo.emulator.region import Region, decode, encode
from syncd.demo.emulator.wire import ApiError, Call, enclose, request_id

VERSIONS: Final = {"cvm": "2017-03-12", "region": "2022-06-27", "sts": "2018-08-13"}
MOST: Final = 100
USUAL: Final = 20


class _Query(msgspec.Struct, forbid_unknown_fields=True):
    """The parameters of DescribeInstances."""

    InstanceIds: list[str] | None = None
    Filters: list[object] | None = None
    Offset: int = 0
    Limit: int = USUAL


def page_number(parameters: Mapping[str, object]) -> int:
    """Return the number of a page from its offset, 0 when that makes no sense."""
    offset, limit = parameters.get("Offset", 0), parameters.get("Limit", USUAL)
    if not isinstance(offset, int) or not isinstance(limit, int) or limit <= 0:
        return 0
    return offset // limit


def answer(call: Call, hits: Hits) -> bytes:
    """Return the body of a good answer, ApiError for the others."""
    if not call.service:
        raise ApiError("NoSuchVersion", "接口版本不存在。")
    handler = HANDLERS.get((call.service, call.action))
    if handler is None:
        raise ApiError("InvalidAction", "该接口不存在，请检查接口名称。")
    return handler(call, hits)


def _regions(call: Call, _: Hits) -> bytes:
    if call.parameters.get("Product") != "cvm":
        raise ApiError("MissingParameter", "缺少参数 Product。")
    regions = [
        {
            "Region": name,
            "RegionName": f"地域 ({name})",
            "RegionState": "AVAILABLE",
            "RegionTypeMC": None,
            "LocationMC": None,
            "RegionNameMC": None,
            "RegionIdMC": None,
        }
        for name in (*call.account.regions, *call.account.unopened)
    ]
    return _response({"TotalCount": len(regions), "RegionSet": regions})


def _zones(call: Call, hits: Hits) -> bytes:
    _refuse_denied(hits)
    name = _region(call).name
    zones = [
        {
            "Zone": f"{name}-{n}",
            "ZoneName": f"{name} {n}",
            "ZoneId": str(n),
            "ZoneState": "AVAILABLE",
        }
        for n in range(1, 8)
    ]
    return _response({"TotalCount": len(zones), "ZoneSet": zones})


def _identity(call: Call, hits: Hits) -> bytes:
    owner = owner_id(call, hits)
    return _response({
        "Arn": f"qcs::cam::uin/{owner}:uin/100009876543",
        "AccountId": owner,
        "UserId": "100009876543",
        "PrincipalId": "100009876543",
        "Type": "CAMUser",
    })  # fmt: skip


def _instances(call: Call, hits: Hits) -> bytes:
    total, objects = _read(call, hits)
    head = f'{{"Response":{{"TotalCount":{total},"InstanceSet":['
    tail = f'],"RequestId":"{request_id()}"}}}}'
    return enclose(head, objects, tail)


def _states(call: Call, hits: Hits) -> bytes:
    _refuse_denied(hits)
    total, objects = _read(call, hits)
    hosts = [decode(raw) for raw in objects]
    states = [{key: host[key] for key in ("InstanceId", "InstanceState")} for host in hosts]
    return _response({"TotalCount": total, "InstanceStatusSet": states})


def _read(call: Call, hits: Hits) -> tuple[int, list[bytes]]:
    query = _query(call)
    region = _region(call)
    with region.lock:
        shelf = visible(region, hits, call)
        if query.InstanceIds is not None:
            found = named(shelf, query.InstanceIds, hits, "没有找到相应实例。")
            page = found[query.Offset : query.Offset + query.Limit]
            return len(found), render(page, region, hits)
        total = max(0, len(shelf) + total_offset(hits))
        return total, render(shelf.slice(query.Offset, query.Limit), region, hits)


def _query(call: Call) -> _Query:
    try:
        query = msgspec.convert(dict(call.parameters), _Query)
    except msgspec.ValidationError as error:
        raise ApiError("InvalidParameter", f"参数错误：{error}") from error
    if query.InstanceIds and query.Filters:
        raise ApiError("InvalidParameterCombination", "不支持同时指定 InstanceIds 和 Filters。")
    if query.Filters:
        raise ApiError("InvalidFilter", "The emulator knows no filters.")
    if len(query.InstanceIds or ()) > MOST:
        raise ApiError("InvalidParameterValue.LimitExceeded", "InstanceIds 超过上限 100。")
    if not 1 <= query.Limit <= MOST:
        raise ApiError("InvalidParameterValueLimit", "Limit 必须在 1 到 100 之间。")
    if query.Offset < 0:
        raise ApiError("InvalidParameterValueOffset", "Offset 不能为负数。")
    query.InstanceIds = query.InstanceIds or None
    return query


def _region(call: Call) -> Region:
    if not call.region:
        raise ApiError("MissingParameter", "缺少参数 Region。")
    region = call.account.regions.get(call.region)
    if region is None:
        raise ApiError("UnsupportedRegion", "接口不支持所传地域。")
    return region


def _refuse_denied(hits: Hits) -> None:
    if hits.first("denied_empty"):
        raise ApiError("UnauthorizedOperation", "您没有权限执行该操作，请联系主账号授权。")


def _response(fields: dict[str, object]) -> bytes:
    return encode({"Response": fields | {"RequestId": request_id()}})


HANDLERS: Final[dict[tuple[str, str], Callable[[Call, Hits], bytes]]] = {
    ("region", "DescribeRegions"): _regions,
    ("cvm", "DescribeZones"): _zones,
    ("cvm", "DescribeInstances"): _instances,
    ("cvm", "DescribeInstancesStatus"): _states,
    ("sts", "GetCallerIdentity"): _identity,
}

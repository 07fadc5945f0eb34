"""The official SDKs' clients, turned to an emulator, as its tests use them."""

import http.client
import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest
from aliyunsdkecs.request.v20140526.DescribeDisksRequest import DescribeDisksRequest
from aliyunsdkecs.request.v20140526.DescribeInstancesRequest import DescribeInstancesRequest
from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile

from syncd.demo.emulator import KEYS, Emulator
from syncd.demo.emulator.signatures import rpc_signature, rpc_string_to_sign

Raw = dict[str, Any]
HOSTS = 25  # of each region of the emulator that the tests share
HANGZHOU = ("aliyun-demo", "cn-hangzhou")
GUANGZHOU = ("tencent-demo", "ap-guangzhou")


class Ali:
    """The ECS client of the SDK, without its retries."""

    def __init__(self, emulator: Emulator, secret: str = KEYS["aliyun"][1], **options: Any) -> None:
        options.setdefault("ak", KEYS["aliyun"][0])
        self.client = AcsClient(
            secret=secret, region_id="cn-hangzhou", auto_retry=False, timeout=5, **options
        )
        self.client.add_endpoint("cn-hangzhou", "Ecs", emulator.endpoint)

    def call(self, request: Any, **parameters: Any) -> Raw:
        for name, value in parameters.items():
            request.add_query_param(name, value)
        return json.loads(self.client.do_action_with_exception(request))

    def page(self, **parameters: Any) -> Raw:
        return self.call(DescribeInstancesRequest(), **({"MaxResults": 10} | parameters))

    def lookup(self, ids: list[str]) -> list[Raw]:
        return self.page(InstanceIds=json.dumps(ids), MaxResults=100)["Instances"]["Instance"]

    def hosts(self) -> list[Raw]:
        found, token = [], {}
        while True:
            page = self.page(**token)
            found += page["Instances"]["Instance"]
            if not page["NextToken"]:
                return found
            token = {"NextToken": page["NextToken"]}

    def disks(self, **parameters: Any) -> list[Raw]:
        found, token = [], {}
        while True:
            page = self.call(DescribeDisksRequest(), **parameters, **token)
            found += page["Disks"]["Disk"]
            if not page["NextToken"]:
                return found
            token = {"NextToken": page["NextToken"]}

    def identity(self, emulator: Emulator, method: str = "POST") -> Raw:
        request = CommonRequest(emulator.endpoint, "2015-04-01", "GetCallerIdentity")
        request.set_method(method)
        return self.call(request)


class Tx:
    """The clients of the Tencent SDK for any product."""

    def __init__(self, emulator: Emulator, *key: str, method: str = "POST") -> None:
        profile = HttpProfile(
            endpoint=emulator.endpoint, protocol="http", reqTimeout=5, reqMethod=method
        )
        self.credential = Credential(*(key or KEYS["tencent"][:2]))
        self.profile = ClientProfile(httpProfile=profile)

    def call(
        self, action: str, parameters: Raw, product: tuple[str, str] = ("cvm", "2017-03-12")
    ) -> Raw:
        client = CommonClient(*product, self.credential, "ap-guangzhou", self.profile)
        return client.call_json(action, parameters)["Response"]

    def page(self, **parameters: Any) -> Raw:
        return self.call("DescribeInstances", {"Limit": 10} | parameters)

    def lookup(self, ids: list[str]) -> list[Raw]:
        return self.page(InstanceIds=ids, Limit=100)["InstanceSet"]

    def hosts(self) -> list[Raw]:
        found: list[Raw] = []
        while True:
            page = self.page(Offset=len(found))
            found += page["InstanceSet"]
            if len(found) >= page["TotalCount"]:
                return found

    def identity(self) -> Raw:
        return self.call("GetCallerIdentity", {}, ("sts", "2018-08-13"))


def ids(hosts: list[Raw]) -> list[str]:
    return [host["InstanceId"] for host in hosts]


def ali_code(action: Any, *arguments: Any, **parameters: Any) -> str:
    with pytest.raises(ServerException) as caught:
        action(*arguments, **parameters)
    return str(caught.value.get_error_code())


def tx_code(action: Any, *arguments: Any, **parameters: Any) -> str:
    with pytest.raises(TencentCloudSDKException) as caught:
        action(*arguments, **parameters)
    return str(caught.value.get_code())


def signed_query(**changes: str) -> dict[str, str]:
    query = {
        "Action": "DescribeRegions",
        "Version": "2014-05-26",
        "AccessKeyId": KEYS["aliyun"][0],
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": "once",
        "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    } | changes
    query["Signature"] = rpc_signature(rpc_string_to_sign("GET", query), KEYS["aliyun"][1])
    return query


def get(emulator: Emulator, query: dict[str, str]) -> tuple[int, Raw]:
    return send(emulator, "GET", f"/?{urlencode(query)}")


def send(emulator: Emulator, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=5)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()

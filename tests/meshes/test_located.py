"""What routers keep of a release when they have located it, in their own words, which each later version has to read.

A change of these words is no fault by itself; one that an earlier daemon's words do not fit makes a running release's arms unknown.
"""

from typing import Any

import pytest

from daemon.meshes.consul.arms import Located as OfConsul
from daemon.meshes.consul.entries import Target
from daemon.meshes.consulkubernetes.arms import Located as OfConsulKubernetes
from daemon.meshes.gatewayapi.arms import Located as OfGatewayApi
from daemon.meshes.gatewayapi.services import ServiceName
from daemon.meshes.istio.arms import Located as OfIstio
from daemon.meshes.istio.hosts import Destination
from daemon.meshes.kuberouter import Beyond
from daemon.meshes.kuberoutes import decode
from daemon.meshes.ports import Port

ISTIO = """{"arms":{"baseline":{"host":"web.shop.svc","subset":"v1"},"canary":{"host":"web.shop.svc","subset":"v2"}},
"clients":["shop"],"canary":{"host":"web.shop.svc","labels":[["version","v2"]],"selector":["shop",[["app","web"]]]}}"""
GATEWAY_API = """{"arms":{"baseline":{"namespace":"shop","name":"web-v1"},"canary":{"namespace":"shop","name":"web-v2"},
"aliases":[],"ports":{"web-v1.shop":[{"number":80,"name":"http"}]},"grants":null},"canary":null,"elsewhere":["shop/other"]}"""
CONSUL_ARMS = """{"baseline":{"service":"web","subset":"v1","namespace":"default","partition":"default"},
"canary":{"service":"web","subset":"v2","namespace":"default","partition":"default"},"aliases":["blue"]}"""
CONSUL = f'{{"arms":{CONSUL_ARMS},"canary_filter":"Service.Meta.version == v2"}}'
CONSUL_KUBERNETES = f'{{"arms":{CONSUL_ARMS},"elsewhere":["web failover"],"unread":["half"]}}'


def canary(kind: type[Any], words: str) -> Any:
    before = decode(words, kind=kind)
    assert before is not None
    return before.arms.canary


@pytest.mark.parametrize(
    ("kind", "words", "arm"),
    [
        (OfIstio, ISTIO, Destination(host="web.shop.svc", subset="v2")),
        (OfGatewayApi, GATEWAY_API, ServiceName(namespace="shop", name="web-v2")),
        (OfConsul, CONSUL, Target(service="web", subset="v2", namespace="default", partition="default")),
        (OfConsulKubernetes, CONSUL_KUBERNETES, Target(service="web", subset="v2", namespace="default", partition="default")),
    ],
)
def test_whose_canary_it_was_is_read_in_the_words_in_which_it_was_kept(kind: type[Any], words: str, arm: object) -> None:
    assert canary(kind, words) == arm


def test_all_that_is_kept_of_the_arms_is_read() -> None:
    istio, gateway, consul = (decode(ISTIO, kind=OfIstio), decode(GATEWAY_API, kind=OfGatewayApi), decode(CONSUL, kind=OfConsul))
    assert istio is not None
    assert gateway is not None
    assert consul is not None
    assert istio.canary is not None
    assert (istio.clients, istio.canary.labels) == (("shop",), frozenset({("version", "v2")}))
    assert gateway.arms.ports == {"web-v1.shop": (Port(number=80, name="http"),)}
    assert (consul.arms.aliases, consul.canary_filter) == (("blue",), "Service.Meta.version == v2")


@pytest.mark.parametrize(
    ("words", "beyond"),
    [
        (ISTIO, Beyond()),
        (GATEWAY_API, Beyond(elsewhere=("shop/other",))),
        (CONSUL_KUBERNETES, Beyond(elsewhere=("web failover",), unread=("half",))),
        ("", None),
        ("web-v2", None),
    ],
)
def test_what_is_beyond_the_routes_is_read_whatever_else_stands_there(words: str, beyond: Beyond | None) -> None:
    assert decode(words, kind=Beyond) == beyond

"""The table of what senders' words mean: what of it is refused, with the row and the fix."""

import pytest

from config.errors import ConfigError
from config.settings import MappingRow
from daemon.settings import settings_of


def test_rows_are_read_in_their_order() -> None:
    rows = [{"service": "front", "environment": "production", "name": "web", "namespace": "shop"}, {"policy": "default"}]
    assert settings_of({"mapping": rows}, source="test").mapping == [
        MappingRow(service="front", environment="production", name="web", namespace="shop"),
        MappingRow(policy="default"),
    ]


@pytest.mark.parametrize(
    ("rows", "path", "message"),
    [
        ([{}, {"policy": "strikt"}], "mapping[1].policy", "names 'strikt', which is not under policies"),
        ([{"environment": "production", "name": "web"}], "mapping[0].name", "is 'web' for every service"),
        (
            [{"service": "front", "name": "web"}, {"service": "web", "name": "web-core"}],
            "mapping[0].name",
            "is 'web', which another row calls otherwise",
        ),
        ([{"servce": "front"}], "mapping[0].servce", "is not a known key"),
        ([{"namespace": "a b"}], "mapping[0].namespace", "has a form that cannot be used"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused_at_its_place(rows: list[dict[str, str]], path: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of({"mapping": rows}, source="test")
    [fault] = caught.value.faults
    assert fault.path == path
    assert message in fault.message
    assert fault.fix

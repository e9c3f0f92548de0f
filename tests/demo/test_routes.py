"""The route file."""

from pathlib import Path

import pytest
import yaml

from daemon.demo.routes import install, render, shares


def test_shares_are_what_was_rendered() -> None:
    assert shares(render({"v1": 70, "v2": 30}, version_info="1")) == {"web-v1": 70.0, "web-v2": 30.0}


def test_a_share_of_zero_leaves_the_version_out() -> None:
    assert shares(render({"v1": 100, "v2": 0}, version_info="1")) == {"web-v1": 100.0}


def test_the_file_is_a_discovery_response_of_one_route_configuration() -> None:
    document = yaml.safe_load(render({"v1": 100}, version_info="7"))
    assert document["version_info"] == "7"
    (resource,) = document["resources"]
    assert resource["@type"].endswith("RouteConfiguration")
    assert resource["name"] == "web"


@pytest.mark.parametrize("weights", [{"v1": 70, "v2": 20}, {"v1": 110, "v2": -10}])
def test_shares_that_are_not_a_whole_are_refused(weights: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="add up to 100"):
        render(weights, version_info="1")


def test_a_single_target_and_other_weights_are_read_too() -> None:
    text = render({"v1": 50, "v2": 50}, version_info="1").replace("weight: 50", "weight: 4")
    assert shares(text) == {"web-v1": 50.0, "web-v2": 50.0}
    single = {"resources": [{"virtual_hosts": [{"routes": [{"route": {"cluster": "web-v1"}}]}]}]}
    assert shares(yaml.safe_dump(single)) == {"web-v1": 100.0}


def test_a_new_file_takes_the_place_of_the_old_one_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    install(path, "one")
    install(path, "two")
    assert path.read_text() == "two"
    assert [path] == list(tmp_path.iterdir())


def test_a_failed_move_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    path.mkdir()
    with pytest.raises(OSError, match=r"routes\.yaml"):
        install(path, "text")
    assert [path] == list(tmp_path.iterdir())

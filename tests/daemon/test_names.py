"""Names from outside: what no mesh could carry is refused at the door."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon import names
from daemon.errors import InvalidInput

BREAKING_OUT = [
    'web"} or up{job="x',
    "web.>",
    "web.*",
    "web verdictd",
    "../../etc/passwd",
    "web/../x",
    "web~1spec",
    "web\n",
    "web\r\nSUB x",
    "",
    "-web",
    "web-",
    "wéb",
    "w" * 64,
    "web\x00",
    "{{web}}",
    "$web",
]


@pytest.mark.parametrize("name", BREAKING_OUT)
def test_a_name_made_to_break_out_of_a_subject_query_path_or_pointer_is_refused_with_path_and_fix(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        names.token(name, path="$.service")
    assert caught.value.path == "$.service"
    assert "letters" in caught.value.fix


@pytest.mark.parametrize("name", ["web", "web-2", "a", "My_Service", "0x", "w" * 63])
def test_names_that_meshes_use_are_taken(name: str) -> None:
    assert names.token(name, path="$") == name


@pytest.mark.parametrize("name", ["web.shop.svc.cluster.local", "v1.2.3", "w" * 253])
def test_hosts_and_versions_may_have_dots(name: str) -> None:
    assert names.dotted(name, path="$") == name


@pytest.mark.parametrize("name", ["web..evil/", "a/b", 'v1"', "w" * 254, "."])
def test_hosts_and_versions_may_not_have_anything_else(name: str) -> None:
    with pytest.raises(InvalidInput):
        names.dotted(name, path="$")


@pytest.mark.parametrize(
    ("key", "good"), [("app", True), ("app.kubernetes.io/version", True), ("a/b/c", False), ("~1", False), ("/x", False)]
)
def test_label_keys_are_those_of_kubernetes(key: str, *, good: bool) -> None:
    if good:
        assert names.label_key(key, path="$") == key
    else:
        with pytest.raises(InvalidInput):
            names.label_key(key, path="$")


@given(service=st.text(max_size=80), origin=st.none() | st.text(max_size=50))
def test_an_id_is_safe_wherever_it_is_written_whatever_the_service_is_called(service: str, origin: str | None) -> None:
    made = names.new_release_id(service, origin=origin)
    assert names.release_id(made, path="$") == made


def test_the_same_origin_gives_the_same_id_and_no_origin_a_new_one() -> None:
    assert names.new_release_id("web", origin="ci/7") == names.new_release_id("web", origin="ci/7")
    assert names.new_release_id("web", origin="ci/7") != names.new_release_id("web", origin="ci/8")
    assert names.new_release_id("web") != names.new_release_id("web")

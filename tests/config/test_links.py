"""Links of the page: what may stand in the settings, and what is refused before it can lead anywhere."""

from pathlib import Path

import pytest

from config import urls
from config.errors import ConfigError
from daemon.settings import load_settings


def test_a_fault_in_a_link_is_told_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("http: {links: {Grafana: 'https://grafana/{team}'}}", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_settings(file)
    [fault] = refused.value.faults
    assert fault.path == "http.links.Grafana"
    assert "{service}" in (fault.fix or "")


@pytest.mark.parametrize(
    "text",
    [
        "https://grafana.example.org/d/verdictd-release?var-release={release}",
        "http://wiki:8080/{namespace}/{service}#{policy}",
        "https://{cluster}.example.org/{mesh}",
    ],
)
def test_a_link_may_have_places_for_what_a_release_is(text: str) -> None:
    assert urls.page_link(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://wiki/{team}", "has a place for 'team'"),
        ("javascript:alert(1)//{service}", "no address"),
        ("https://user:secret@wiki/", "no address"),
        ("https://wiki/a b", "no address"),
        ("https://wiki/{service", "no address"),
        ("{service}", "no address"),
        ("https://wiki:x/", "no address"),
        ("", "no address"),
    ],
)
def test_what_leads_nowhere_or_runs_is_refused_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(urls.Unusable, match=said) as refused:
        urls.page_link(text)
    assert "{release}" in refused.value.fix
    assert "secret" not in refused.value.message

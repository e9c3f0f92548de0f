"""How the API's answers are measured."""

from tests.hand.api import serving


async def test_each_answer_is_measured_by_its_endpoints_path_and_never_by_what_was_asked_for() -> None:
    async with serving() as api:
        await api.call("GET", "/healthz")
        for name in ("a", "b", "c"):
            await api.call("GET", f"/v1/releases/{name}")
            await api.call("GET", f"/made-up/{name}")
        await api.call("DELETE", "/healthz")

        def counted(method: str, route: str, code: str) -> float | None:
            labels = {"method": method, "route": route, "code": code}
            return api.metrics.registry.get_sample_value("verdictd_http_request_seconds_count", labels)

        assert counted("GET", "/healthz", "200") == 1
        assert counted("GET", "/v1/releases/{id}", "404") == 3
        assert counted("none", "none", "404") == 3
        assert counted("none", "none", "405") == 1

"""Settings and policies from files and the environment, and how they are refused."""

import json
from pathlib import Path

import pytest

from config.errors import ConfigError, Fault
from config.load import load_policies, load_policy
from config.policy import Policy
from config.settings import EnvoyTelemetry, PrometheusTelemetry, Settings
from daemon.settings import load_settings

FULL = """
cluster: eu-1
http: {listen: "127.0.0.1:0"}
telemetry:
  prom: {kind: prometheus, url: "http://127.0.0.1:9090", dialect: istio, tick_seconds: 1}
  edge: {kind: envoy, endpoints: ["http://127.0.0.1:9901"]}
meshes:
  istio: {kind: istio, telemetry: prom}
policies:
  default: {alpha: 0.02, window_seconds: 600}
"""


def write(folder: Path, text: str, name: str = "settings.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(path: Path, environ: dict[str, str] | None = None) -> list[Fault]:
    with pytest.raises(ConfigError) as caught:
        load_settings(path, environ=environ)
    return list(caught.value.faults)


def test_no_file_and_no_variables_are_the_defaults() -> None:
    assert load_settings(None) == Settings()


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, "# nothing yet\n")) == Settings()


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    from_yaml = load_settings(write(tmp_path, FULL))
    document = {
        "cluster": "eu-1",
        "http": {"listen": "127.0.0.1:0"},
        "telemetry": {
            "prom": {"kind": "prometheus", "url": "http://127.0.0.1:9090", "dialect": "istio", "tick_seconds": 1},
            "edge": {"kind": "envoy", "endpoints": ["http://127.0.0.1:9901"]},
        },
        "meshes": {"istio": {"kind": "istio", "telemetry": "prom"}},
        "policies": {"default": {"alpha": 0.02, "window_seconds": 600}},
    }
    # Tabs are legal in JSON and not in YAML.
    assert load_settings(write(tmp_path, json.dumps(document, indent="\t"), "settings.json")) == from_yaml
    assert isinstance(from_yaml.telemetry["prom"], PrometheusTelemetry)
    assert isinstance(from_yaml.telemetry["edge"], EnvoyTelemetry)


@pytest.mark.parametrize(
    ("text", "path", "message", "fix"),
    [
        ("htp: {}", "htp", "is not a known key", "did you mean http?"),
        ("zzz: 1", "zzz", "is not a known key", "remove it; known here: cluster, gates, hooks, http"),
        ("http: {Listen: x}", "http.Listen", "is not a known key", "did you mean listen?"),
        ("cluster: 12", "cluster", "12 is not text", 'write it in quotes: "12"'),
        ('cluster: "a\\n"', "cluster", '"a\\n" has a form that cannot be used', "use 1 to 63 letters"),
        ("cluster: 'a b'", "cluster", '"a b" has a form that cannot be used', "use 1 to 63 letters"),
        ("http: 8484", "http", "8484 is not a mapping", "write keys and values below it (listen"),
        ("log_level: inf", "log_level", '"inf" is not one of them', "write info"),
        ("log_level: off", "log_level", "false is not one of them", "write debug, error, info or warning"),
        ("nats: {replicas: 2.5}", "nats.replicas", "2.5 is not a whole number", "write a whole number at least 1 and at most 5"),
        ("nats: {replicas: 9}", "nats.replicas", "9 is out of range", "write a whole number at least 1 and at most 5"),
        ("nats: {replicas: true}", "nats.replicas", "true is not a whole number", "write a whole number"),
        ("nats: {url: embeded}", "nats.url", "is nearly the word embedded", "write embedded, or nats://embeded"),
        ("nats: {url: null}", "nats.url", "null is not text", "write it in quotes"),
        ("http: {max_body_bytes: 1MiB}", "http.max_body_bytes", '"1MiB" is not a whole number', "write bytes as a number: 1048576"),
        ("http: {listen: '8484'}", "http.listen", '"8484" has no host and port', "write host:port"),
        ("http: {listen: '::1:80'}", "http.listen", '"::1:80" is an IPv6 address without brackets', "[::1]:8484"),
        ("http: {listen: 'localhost:http'}", "http.listen", "has no usable port", "write host:port"),
        ("http: {listen: '0.0.0.0:80'}", "http.token_file", "is not set", "name a file that holds the token"),
        ("telemetry: {a: {url: x}}", "telemetry.a.kind", "is missing", "write kind: prometheus, envoy or sidecars"),
        ("telemetry: {a: {kind: promtheus}}", "telemetry.a.kind", '"promtheus"', "write prometheus, or else envoy or sidecars"),
        ("telemetry: {a: envoy}", "telemetry.a", '"envoy" is not a mapping', "write kind: prometheus, envoy or sidecars"),
        ("telemetry: [a]", "telemetry", '["a"] is not a mapping', "write names and their values below it"),
        ("telemetry: {a: {kind: envoy}}", "telemetry.a.endpoints", "is missing", "add it"),
        ("telemetry: {a: {kind: envoy, endpoints: []}}", "telemetry.a.endpoints", "has 0 entries", "give at least 1"),
        ("telemetry: {a: {kind: envoy, endpoints: 'http://x'}}", "telemetry.a.endpoints", "is not a list", "write a list: [http://x]"),
        ("telemetry: {a: {kind: envoy, endpoints: [1]}}", "telemetry.a.endpoints[0]", "1 is not text", 'in quotes: "1"'),
        ("policies: {'a b': {}}", "policies.a b", "has a form that cannot be used", "use 1 to 63 letters"),
        ("policies: {p: {alpha: 1%}}", "policies.p.alpha", '"1%" is not a number', "write a fraction: 0.01"),
        ("policies: {p: {alpha: '0.01'}}", "policies.p.alpha", '"0.01" is not a number', "without quotes, as a plain number: 0.01"),
        ("policies: {p: {alpha: .nan}}", "policies.p.alpha", "NaN is not a number", "greater than 0 and less than 0.5"),
        ("policies: {p: {alpha: 0.5}}", "policies.p.alpha", "0.5 is out of range", "greater than 0 and less than 0.5"),
        ("policies: {p: {window_seconds: 5m}}", "policies.p.window_seconds", '"5m" is not a number', "as a number: 300"),
        ("policies: {p: {window_seconds: 1h30m}}", "policies.p.window_seconds", '"1h30m"', "write seconds as a number: 5400"),
        ("policies: {p: {window_seconds: long}}", "policies.p.window_seconds", '"long"', "write a number greater than 0"),
        ("policies: {p: {window_seconds: 5%}}", "policies.p.window_seconds", '"5%"', "write a number greater than 0"),
        ("policies: {p: {window_seconds: .inf}}", "policies.p.window_seconds", "Infinity is not a number", "write a number"),
        ("policies: {p: {tolerances: {errors: {max_rate: 5}}}}", "policies.p.tolerances.errors.max_rate", "5 is", "5 % is 0.05"),
        ("policies: {p: {tolerances: {latency: {slow_end: 1%}}}}", "policies.p.tolerances.latency.slow_end", '"1%"', "factor of"),
        (
            "policies: {p: {tolerances: {latency: {require_slow_end: 'yes'}}}}",
            "policies.p.tolerances.latency.require_slow_end",
            '"yes" is not true or false',
            "write true or false, without quotes",
        ),
        (
            "policies: {p: {evidence: estimate}}",
            "policies.p.evidence",
            '"estimate" is no more: the judge decides in another way now',
            "write balanced",
        ),
        ("policies: {p: {evidence: [estimate]}}", "policies.p.evidence", "is not one of them", "write balanced, fast or strict"),
        ("policies: {p: {tolerances: {latency: {p99: 2}}}}", "policies.p.tolerances.latency.p99", "another name", "write slow_end"),
        (
            "policies: {p: {tolerances: {latency: {require_p99_certificate: true}}}}",
            "policies.p.tolerances.latency.require_p99_certificate",
            "has another name now",
            "write require_slow_end",
        ),
        ("policies: {p: {warmup_seconds: 900}}", "policies.p.warmup_seconds", "is not shorter than window_seconds (900)", "length"),
        (
            "policies: {p: {on_promote: wait, on_inconclusive: promote}}",
            "policies.p.on_inconclusive",
            "waits for a person",
            "to hold or rollback",
        ),
        ("policies: {p: {approval_seconds: 0}}", "policies.p.approval_seconds", "0 is out of range", "greater than 0"),
        ("meshes: {m: {kind: istio, telemetry: no}}", "meshes.m.telemetry", "false is not text", "in quotes"),
        ("meshes: {m: {kind: istio, telemetry: prom}}", "meshes.m.telemetry", "not under telemetry (none is configured)", "add it"),
    ],
)  # fmt: skip
def test_a_fault_is_refused_with_its_path_the_value_and_the_fix(
    tmp_path: Path, text: str, path: str, message: str, fix: str
) -> None:
    problem = refused(write(tmp_path, text))[0]
    assert problem.path == path
    assert message in problem.message
    assert fix in problem.fix


@pytest.mark.parametrize(
    ("failures", "path", "message", "fix"),
    [
        ("{status: ['404']}", "status[0]", '"404" has a form', "write a status code as a number, such as 404, or a class"),
        ("{status: [700]}", "status[0]", "700 has a form that cannot be used", "write a status code"),
        ("{status: 5xx}", "status", '"5xx" is not a list', "write a list: [5xx]"),
        ("{grpc_status: [INTERNL]}", "grpc_status[0]", "is not one of them", "write INTERNAL"),
        ("{flags: [ut]}", "flags[0]", '"ut" has a form', "short response flags"),
        ("{gave_up: no}", "gave_up", "is not one of them", "write excused, failures or unanswered"),
        ("{flags: [FI]}", "flags", "flags (FI) fails what excused_flags excuses", "name it in one of them"),
        ("{status: [], grpc_status: [], resets: excused}", "status", "no request could ever fail", "write [5xx]"),
    ],
)
def test_a_fault_in_what_counts_as_failed_is_refused_as_well(
    tmp_path: Path, failures: str, path: str, message: str, fix: str
) -> None:
    (problem,) = refused(write(tmp_path, f"policies: {{p: {{failures: {failures}}}}}"))
    assert problem.path == f"policies.p.failures.{path}"
    assert message in problem.message
    assert fix in problem.fix


@pytest.mark.parametrize(("written", "seconds"), [("15m", 900.0), ("1h30m", 5400.0), ("90s", 90.0), ("24h", 86_400.0)])
def test_how_long_a_canary_is_watched_after_its_promotion_is_written_as_people_say_it(
    tmp_path: Path, written: str, seconds: float
) -> None:
    policy = load_policy(write(tmp_path, f"after: {written}"))
    assert (policy.after, policy.after_seconds) == (written, seconds)
    assert Policy().after_seconds == 0.0


@pytest.mark.parametrize(
    ("written", "message", "fix"),
    [
        ("15", "15 is not text", "as in 15m, 1h30m or 90s"),
        ('"15"', '"15"', "as in 15m, 1h30m or 90s"),
        ("15 minutes", '"15 minutes"', "as in 15m, 1h30m or 90s"),
        ('""', '""', "as in 15m, 1h30m or 90s"),
        ("5s", "no time to watch on", "30s or more, and at most 24h, or leave it out"),
        ("25h", "no time to watch on", "30s or more, and at most 24h, or leave it out"),
    ],
)
def test_what_is_no_time_to_watch_on_for_is_refused(tmp_path: Path, written: str, message: str, fix: str) -> None:
    (problem,) = refused(write(tmp_path, f"policies: {{p: {{after: {written}}}}}"))
    assert problem.path == "policies.p.after"
    assert message in problem.message
    assert fix in problem.fix


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = """
    htp: {}
    cluster: 12
    telemetry: {a: {kind: envoy}}
    policies:
      one: {alpha: 1%, window_seconds: 5m}
      two: {window_seconds: 30}
    """
    assert [problem.path for problem in refused(write(tmp_path, text))] == [
        "htp",
        "cluster",
        "telemetry.a.endpoints",
        "policies.one.alpha",
        "policies.one.window_seconds",
        "policies.two.promotion.min_seconds",
        "policies.two.warmup_seconds",
    ]


def test_the_refusal_reads_as_one_line_per_problem_beginning_with_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "cluster: 12\nlog_level: loud")
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    assert str(caught.value).splitlines() == [
        f'{path}: cluster: 12 is not text; write it in quotes: "12"',
        f'{path}: log_level: "loud" is not one of them; write debug, error, info or warning',
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "a: [1", "is not YAML"),
        ("a.yaml", "a: 2026-02-30", "is not YAML"),
        ("a.json", '{"a": 1,}', "is not JSON"),
        ("a.yaml", "- 1", "is not a mapping"),
        ("a.yaml", "a: &x [*x]", "contains itself"),
        ("a.yaml", 'a: !!int ""', "is not YAML: a value does not fit its type"),
        ("a.yaml", 'a: !!bool "maybe"', "is not YAML: a value does not fit its type"),
        ("a.yaml", 'a: !!timestamp "x"', "is not YAML: a value does not fit its type"),
        ("a.yaml", "a: !!python/object/apply:os.system [true]", "is not YAML"),
        ("a.yaml", "a: !!python/name:os.system", "is not YAML"),
        ("a.yaml", "x" * (1024 * 1024 + 1), "is larger than 1 MiB"),
    ],
)
def test_a_document_that_cannot_be_parsed_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    assert message in refused(write(tmp_path, text, name))[0].message


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.yaml")[0].message == "cannot be read: No such file or directory"


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"cluster: M\xfcnchen")
    assert refused(path)[0].message == "is not UTF-8 (byte 10)"


def test_keys_given_twice_are_refused_in_yaml_with_their_lines(tmp_path: Path) -> None:
    problems = refused(write(tmp_path, "http:\n  listen: a\n  listen: b\nnats: {url: x}\nnats: {url: y}\n"))
    assert [(problem.path, problem.message) for problem in problems] == [
        ("http.listen", "is given twice (lines 2 and 3)"),
        ("nats", "is given twice (lines 4 and 5)"),
    ]


def test_keys_given_twice_are_refused_in_json(tmp_path: Path) -> None:
    problems = refused(write(tmp_path, '{"policies": {"p": {"alpha": 0.1, "alpha": 0.2}}, "x": [{"y": 1, "y": 2}]}', "a.json"))
    assert [problem.path for problem in problems] == ["policies.p.alpha", "x[0].y"]


def test_keys_that_yaml_reads_as_no_text_are_refused(tmp_path: Path) -> None:
    assert refused(write(tmp_path, "on: 1"))[0] == Fault(
        path="on", message="the key on line 1 is not text to YAML", fix='write it in quotes: "on":'
    )


def test_anchors_and_merges_of_yaml_can_be_used(tmp_path: Path) -> None:
    text = "policies:\n  default: &base {alpha: 0.02}\n  slow: {<<: *base, window_seconds: 900}\n"
    policies = load_settings(write(tmp_path, text)).policies
    assert (policies["slow"].alpha, policies["slow"].window_seconds) == (0.02, 900.0)


def test_a_policy_is_read_from_a_file_of_its_own(tmp_path: Path) -> None:
    assert load_policy(write(tmp_path, "mode: observe\n")) == Policy(mode="observe")


def test_a_folder_of_policies_is_read_by_file_name(tmp_path: Path) -> None:
    write(tmp_path, "mode: observe", "careful.yaml")
    write(tmp_path, '{"alpha": 0.1}', "bold.json")
    write(tmp_path, "not a policy", "README.md")
    assert load_policies(tmp_path) == {"bold": Policy(alpha=0.1), "careful": Policy(mode="observe")}


def test_a_folder_of_policies_is_refused_with_the_problems_of_all_files(tmp_path: Path) -> None:
    write(tmp_path, "alpha: 1%", "a.yaml")
    write(tmp_path, "- 1", "b.yml")
    write(tmp_path, "{}", "c.json")
    write(tmp_path, "{}", "c.yaml")
    with pytest.raises(ConfigError) as caught:
        load_policies(tmp_path)
    assert [problem.path for problem in caught.value.faults] == ["a.alpha", "b", "c"]


def test_a_folder_of_policies_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_policies(tmp_path / "none")

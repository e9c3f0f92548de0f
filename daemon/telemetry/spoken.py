"""A mesh's telemetry as one store has it: the mesh's schema, and what the settings say of the store. Pure.

A schema is data, so that labels with other names, further matchers, another reporter are a schema as well: nothing that asks or
reads has to know of any of it.
"""

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from config.errors import Fault
from config.settings import PrometheusTelemetry
from daemon.telemetry.outcomes import ending_labels
from daemon.telemetry.schema import (
    ArmLabels,
    Begins,
    DenialCounter,
    Is,
    Like,
    Lists,
    Schema,
    Selector,
    SelfReport,
    TargetLabels,
    Test,
    Told,
    View,
)

Rename = Callable[[str], str]


def spoken(schema: Schema, settings: PrometheusTelemetry) -> Schema:
    """The schema by which this store is asked and read. ``faults`` has found nothing wrong with the settings."""
    views = schema.views if settings.reporter is None else schema.reporters[settings.reporter]
    named = settings.labels

    def rename(label: str) -> str:
        return named.get(label, label)

    return replace(
        schema,
        outcome=tuple(replace(rule, when=tuple(_test(test, rename) for test in rule.when)) for rule in schema.outcome),
        told=_told(schema.told, rename),
        streams=tuple(_test(test, rename) for test in schema.streams),
        views=tuple(_view(view, settings.matchers, rename) for view in views),
        reporters={},
        about=_about(schema.about, _of_targets(schema, settings.matchers), rename),
        scrapers=schema.scrapers.union(settings.replica_labels),
        of_requests=frozenset(
            {
                *map(rename, schema.of_requests),
                *(label for own, label in named.items() if own not in {schema.target.pod, schema.target.instance}),
            }
        ),
        target=_target(schema.target, rename),
    )


def with_streams(schema: Schema, streams: Mapping[str, Sequence[str]]) -> Schema:
    """The schema that knows these streams too, by values of labels as the mesh names them."""
    return replace(schema, streams=(*schema.streams, *(Is(label, tuple(values)) for label, values in streams.items())))


def faults(schema: Schema, settings: PrometheusTelemetry, *, path: str) -> Iterator[Fault]:
    """What is wrong with the settings of a store, given the mesh's schema. ``path`` is the entry's."""
    if settings.reporter is not None and settings.reporter not in schema.reporters:
        there = ", ".join(sorted(schema.reporters))
        fix = f"write one of {there}" if there else "leave it out"
        yield Fault(path=f"{path}.reporter", message=f"{settings.reporter!r} is no reporter of {schema.name} telemetry", fix=fix)
    known = labels_of(schema)
    for label in settings.labels:
        if label not in known:
            message = f"{schema.name} telemetry reads no label {label!r}"
            yield Fault(path=f"{path}.labels.{label}", message=message, fix=_instead(label, known))
    for label in settings.matchers:
        if label in {"reporter", "le"} or label.startswith("__"):
            fix = f"choose it by {path}.reporter" if label == "reporter" else "leave it out"
            yield Fault(path=f"{path}.matchers.{label}", message="is asked for by verdictd itself", fix=fix)


def labels_of(schema: Schema) -> frozenset[str]:
    """Every label that the schema reads, whatever is asked of it."""
    views = _all_views(schema)
    found = {label for view in views for label in (*view.arms.labels, *(label for label, _ in view.always))}
    found |= set(ending_labels(schema))
    found |= {test.label for view in views for counter in view.beside for test in counter.when}
    found |= {test.label for test in schema.streams}
    found |= {test.label for counter in schema.about.denials for test in (*counter.when, *counter.unless)}
    return frozenset(found | {schema.target.pod, schema.target.instance, *schema.target.clusters, *schema.target.namespaces})


def _instead(label: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(label, sorted(known), n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    return f"{meant}write the mesh's own name on the left, and the store's on the right"


def _test(test: Test, rename: Rename) -> Test:
    match test:
        case Is() | Begins() | Lists() | Like():
            return replace(test, label=rename(test.label))


def _told(told: Told | None, rename: Rename) -> Told | None:
    if told is None:
        return None
    speaks, mirrored = told.speaks_grpc, told.mirrored
    return replace(
        told,
        status=None if told.status is None else rename(told.status),
        status_class=None if told.status_class is None else rename(told.status_class),
        grpc=None if told.grpc is None else rename(told.grpc),
        flags=None if told.flags is None else rename(told.flags),
        speaks_grpc=None if speaks is None else replace(speaks, label=rename(speaks.label)),
        mirrored=None if mirrored is None else replace(mirrored, label=rename(mirrored.label)),
    )


def _view(view: View, matchers: Mapping[str, str], rename: Rename) -> View:
    """A matcher on a label that the view has a value for takes its place: another gateway than the usual one."""
    always = {rename(label): value for label, value in view.always} | dict(matchers)
    beside = tuple(replace(one, when=tuple(_test(test, rename) for test in one.when)) for one in view.beside)
    return replace(view, always=_selector(always), beside=beside, arms=_arms(view.arms, rename))


def _arms(arms: ArmLabels, rename: Rename) -> ArmLabels:
    return replace(
        arms,
        whose=tuple((field, tuple(rename(label) for label in labels)) for field, labels in arms.whose),
        also={field: rename(label) for field, label in arms.also.items()},
        instead={field: rename(label) for field, label in arms.instead.items()},
        service=None if arms.service is None else rename(arms.service),
        namespace=None if arms.namespace is None else rename(arms.namespace),
        pod_labels={key: rename(label) for key, label in arms.pod_labels.items()},
        pods=tuple(replace(label, label=rename(label.label)) for label in arms.pods),
    )


def _about(about: SelfReport, matchers: Mapping[str, str], rename: Rename) -> SelfReport:
    def counter(one: DenialCounter) -> DenialCounter:
        return replace(
            one,
            when=tuple(_test(test, rename) for test in one.when),
            unless=tuple(_test(test, rename) for test in one.unless),
        )

    denials = tuple(counter(one) for one in about.denials)
    return replace(about, denials=denials, always=_selector(matchers), instance=rename(about.instance))


def _of_targets(schema: Schema, matchers: Mapping[str, str]) -> Mapping[str, str]:
    """Matchers on labels that the store gives to everything; those of the mesh's own are on its requests only."""
    own = {label for view in _all_views(schema) for label in _mesh_labels(view)}
    return {label: value for label, value in matchers.items() if label not in own}


def _all_views(schema: Schema) -> tuple[View, ...]:
    return (*schema.views, *(view for views in schema.reporters.values() for view in views))


def _mesh_labels(view: View) -> frozenset[str]:
    return frozenset({*view.arms.labels, *(label for label, _ in view.always)})


def _target(target: TargetLabels, rename: Rename) -> TargetLabels:
    return TargetLabels(
        pod=rename(target.pod),
        instance=rename(target.instance),
        clusters=tuple(rename(label) for label in target.clusters),
        namespaces=tuple(rename(label) for label in target.namespaces),
    )


def _selector(pairs: Mapping[str, str]) -> Selector:
    return tuple(sorted(pairs.items()))

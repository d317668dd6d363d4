"""The recipes of docs/observability.rst, with the libraries that they are for."""

from __future__ import annotations

import importlib.util
import threading

import pytest
from django.core.files.storage import FileSystemStorage
from django.dispatch import Signal
from fakes import RecordingStorage
from management.running import configure
from overlay.parts import read_only, writable
from pages import blocks
from servers import missing

from fallback_storage import signals
from fallback_storage.chain import ask_many, reach
from fallback_storage.storage import FallbackStorage

# Fast, but the libraries are in one environment only.
pytestmark = [pytest.mark.consumers, pytest.mark.slow]


@pytest.fixture
def recipe():
    """Run the recipe of a library; in the end disconnect what it has connected."""
    made = {}

    def run(title, library):
        if importlib.util.find_spec(library) is None:
            missing(f"Not installed: {library}; pip install --group consumers")
        (block,) = (b for b in blocks("docs/observability.rst") if b.title == title)
        made.update(block.run())
        return made

    yield run
    for signal in vars(signals).values():
        if isinstance(signal, Signal):
            for receiver in made.values():
                signal.disconnect(receiver)


@pytest.fixture
def production():
    return RecordingStorage("production", {f"{n}.jpg": b"1" for n in range(9)})


@pytest.fixture
def chain(settings, tmp_path, production, clock, monkeypatch):
    """A mirror whose clock stands still."""
    monkeypatch.setattr(FallbackStorage, "clock", clock)
    monkeypatch.setattr(reach, "JITTER", 0)
    local = writable(FileSystemStorage(tmp_path), "local")
    entry = {**read_only(production, "production"), "CONCURRENT": True}
    return configure(settings, local, entry, promote=True)


def have_an_outage(chain, production, clock):
    """A backend fails, is left alone, and answers again."""
    production.fail("exists")
    for _ in range(4):
        chain.resolve("none.jpg")
    yield "left alone"
    production.heal()
    clock.tick(10)
    chain.resolve("none.jpg")
    yield "back"


def test_prometheus(recipe, chain, production, clock):
    """What a scrape shows of an ordinary day, and of an outage."""
    made = recipe("Prometheus", "prometheus_client")
    registry = made["REGISTRY"]

    def value(name, **labels):
        return registry.get_sample_value(f"storage_{name}", labels)

    def calls(failed):
        return value("call_seconds_count", backend="production", failed=failed)

    try:
        chain.exists("1.jpg")
        chain.exists("1.jpg")
        assert value("memo_total", event="hits") == 1
        chain.open("1.jpg").close()
        assert value("copies_total", source="production") == 1
        asked = calls("false")
        assert asked == production.count("exists") + production.count("_open")
        outage = have_an_outage(chain, production, clock)
        assert next(outage) == "left alone"
        labels = {"backend": "production", "error": "ConnectionError"}
        assert (calls("false"), calls("true")) == (asked, 3)
        assert value("failures_total", **labels) == 3
        labels["error"] = "BackendUnavailable"
        assert value("failures_total", **labels) == 1
        assert value("left_alone", backend="production") == 1
        assert next(outage) == "back"
        assert value("left_alone", backend="production") == 0
        events = {
            event: value("memo_total", event=event)
            for event in made["MemoCollector"].events
        }
        counted = chain.stats()
        assert events == {event: counted[event] for event in events}
    finally:
        for metric in {*registry._collector_to_names}:
            if type(metric).__name__ == "MemoCollector" or metric in made.values():
                registry.unregister(metric)


@pytest.fixture(scope="module")
def exported():
    """What is exported: spans, and a reader of metrics. There is one provider ever."""
    if importlib.util.find_spec("opentelemetry") is None:
        missing("Not installed: opentelemetry-sdk; pip install --group consumers")
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
        InMemorySpanExporter,
    )

    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
    return trace.get_tracer("test"), spans, reader


def points(reader):
    """Return the counts of all metrics: {name: {attribute values: count}}."""
    found = {}
    for resource in reader.get_metrics_data().resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                counts = found.setdefault(metric.name, {})
                for point in metric.data.data_points:
                    key = tuple(map(str, sorted(point.attributes.values(), key=str)))
                    counts[key] = getattr(point, "value", None) or point.count
    return found


@pytest.fixture
def threads(monkeypatch, production):
    """Let the last two questions of a batch meet: two threads ask them."""
    monkeypatch.setattr(ask_many, "_worth", lambda seconds, kept: 2)
    barrier = threading.Barrier(2)
    last = {"7.jpg", "8.jpg"}
    production.before("exists", lambda name: name in last and barrier.wait(20))


def test_open_telemetry(exported, recipe, chain, threads, production, clock):
    """Spans of calls lie below that of the request, also of those by other threads."""
    tracer, spans, reader = exported
    spans.clear()
    recipe("OpenTelemetry", "opentelemetry.sdk")
    with tracer.start_as_current_span("request") as request:
        chain.exists("1.jpg")
        chain.resolve_many([f"{n}.jpg" for n in range(9)])
        for _ in have_an_outage(chain, production, clock):
            pass
    *calls, last = spans.get_finished_spans()
    assert last.name == "request"
    assert {call.name for call in calls} == {"storage local", "storage production"}
    assert {call.parent.span_id for call in calls} == {request.context.span_id}
    assert all(call.start_time <= call.end_time for call in calls)
    failed = [call for call in calls if call.attributes["storage.failed"]]
    assert {call.status.status_code.name for call in failed} == {"ERROR"}
    assert len(failed) == 3
    events = [event.name.removeprefix("storage.") for event in last.events]
    assert events == [*["failure"] * 2, "left_alone", *["failure"] * 2, "answers_again"]
    counts = points(reader)
    assert counts["storage.failures"] == {
        ("ConnectionError", "exists", "production"): 3,
        ("BackendUnavailable", "exists", "production"): 1,
    }
    assert counts["storage.resolutions"][("exists", "probe", "production")] == 1
    made = counts["storage.call.duration"]
    assert sum(made.values()) == len(calls)

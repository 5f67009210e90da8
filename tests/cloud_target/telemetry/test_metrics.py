"""What Prometheus gets to see: the events of the service, counted, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_target.engine.interface import Description, Vitals
from cloud_target.telemetry.catalogue import METRICS, SECONDS
from cloud_target.telemetry.metrics import Metrics, MetricsLimits
from cloud_target.telemetry.observer import NOBODY, Observer, together

WHO = Description("pocket-target", "f1", "t1", 4096, "float32")
EVENTS = sorted(name for name in vars(Observer) if not name.startswith("_"))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(WHO, "0.1.0", process=False)


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def tell_everything(observer: Observer) -> None:
    observer.listens(50051, 900)
    observer.watched(300.0)
    observer.room_wanted()
    observer.room_wanted()
    observer.room_waited(0.7)
    observer.began(16, 4)
    observer.began(0, 9)
    observer.queued(3)
    observer.passing()
    observer.passed(4, 37, 0.012)
    observer.passed(1, 1, 0.004)
    observer.waited(0.003)
    observer.kept(5, 1 << 20, 1 << 30)
    observer.evicted(2)
    observer.first_verdict(0.3)
    observer.answered("anna", "verdict", 12, 1, 0.02)
    observer.answered("", "continuation", 0, 7, 2.0)
    observer.guessed("anna", 8, 3)
    observer.guessed("anna", 8, 1)
    observer.sent("anna", 512)
    observer.refused("anna", "BUSY")
    observer.refused("", "UNAUTHENTICATED")
    observer.hung()
    observer.streams("anna", 1)
    observer.streams("anna", 1)
    observer.streams("anna", -1)


def test_every_event_is_counted(metrics):
    tell_everything(metrics)
    assert sample(metrics, "tandem_queue_feeds") == 3
    assert sample(metrics, "tandem_pass_feeds_sum") == 5
    assert sample(metrics, "tandem_pass_tokens_sum") == 38
    assert sample(metrics, "tandem_pass_seconds_count") == 2
    assert sample(metrics, "tandem_pass_seconds_bucket", le="0.005") == 1
    assert sample(metrics, "tandem_queue_seconds_sum") == pytest.approx(0.003)
    assert sample(metrics, "tandem_sessions") == 5
    assert sample(metrics, "tandem_kv_used_bytes") == 1 << 20
    assert sample(metrics, "tandem_kv_budget_bytes") == 1 << 30
    assert sample(metrics, "tandem_evictions_total") == 2
    assert sample(metrics, "tandem_answer_seconds_bucket", kind="verdict", le="0.025") == 1
    assert sample(metrics, "tandem_answer_seconds_count", kind="continuation") == 1
    assert sample(metrics, "tandem_tokens_read_total", tenant="anna") == 12
    assert sample(metrics, "tandem_tokens_written_total", tenant="anonymous") == 7
    assert sample(metrics, "tandem_guesses_judged_total", tenant="anna") == 16
    assert sample(metrics, "tandem_guesses_stood_total", tenant="anna") == 4
    assert sample(metrics, "tandem_refusals_total", tenant="anna", reason="BUSY") == 1
    assert sample(metrics, "tandem_refusals_total", tenant="anonymous", reason="UNAUTHENTICATED") == 1
    assert sample(metrics, "tandem_room_requests") == 1
    assert sample(metrics, "tandem_room_seconds_bucket", le="1.0") == 1
    assert sample(metrics, "tandem_first_verdict_seconds_sum") == 0.3
    assert sample(metrics, "tandem_prefix_tokens_total", source="kept") == 16
    assert sample(metrics, "tandem_prefix_tokens_total", source="read") == 13
    assert sample(metrics, "tandem_bundle_bytes_total", tenant="anna") == 512
    assert sample(metrics, "tandem_connections_limit") == 900
    assert sample(metrics, "tandem_pass_limit_seconds") == 300
    assert sample(metrics, "tandem_hangs_total") == 1
    assert sample(metrics, "tandem_streams", tenant="anna") == 1
    about = {"version": "0.1.0", "target": "pocket-target", "fingerprint": "f1", "dtype": "float32"}
    assert sample(metrics, "tandem_build_info", **about) == 1


def test_it_listens_to_every_event():
    assert [event for event in EVENTS if getattr(Metrics, event) is getattr(Observer, event)] == []


def test_the_list_is_what_there_is():
    metrics = Metrics(WHO, "0.1.0", process=False, vitals=lambda: Vitals(1, 2, 3, 4))
    tell_everything(metrics)
    families = {family.name for family in metrics.registry.collect()}
    assert families == {metric.name for metric in METRICS.values()} | {"tandem_build_info"}


def test_a_pass_under_way_is_told_while_it_runs():
    now = 100.0
    metrics = Metrics(WHO, "0.1.0", process=False, clock=lambda: now)
    assert sample(metrics, "tandem_pass_under_way_seconds") == 0
    metrics.passing()
    now += 7.5
    assert sample(metrics, "tandem_pass_under_way_seconds") == 7.5
    metrics.passed(1, 1, 7.5)
    assert sample(metrics, "tandem_pass_under_way_seconds") == 0


def test_an_engine_is_asked_whenever_somebody_looks():
    vitals = Vitals()
    metrics = Metrics(WHO, "0.1.0", process=False, vitals=lambda: vitals)
    assert sample(metrics, "tandem_second_looks_total") == 0
    assert sample(metrics, "tandem_device_allocated_bytes") is None  # there is no GPU
    vitals = Vitals(5, 6, 7, 8)
    assert sample(metrics, "tandem_second_looks_total") == 5
    assert sample(metrics, "tandem_device_allocated_bytes") == 6
    assert sample(metrics, "tandem_device_reserved_bytes") == 7
    assert sample(metrics, "tandem_engine_resident_bytes") == 8


def test_times_from_a_millisecond_to_half_a_minute_are_told_apart():
    assert (min(SECONDS), max(SECONDS)) == (0.001, 30.0)


def test_a_label_has_not_too_many_values():
    metrics = Metrics(WHO, "0.1.0", process=False, limits=MetricsLimits(most_values=2))
    for tenant in "abcda":
        metrics.answered(tenant, "verdict", 1, 0, 0.01)
    assert sample(metrics, "tandem_tokens_read_total", tenant="a") == 2
    assert sample(metrics, "tandem_tokens_read_total", tenant="other") == 2
    assert sample(metrics, "tandem_tokens_read_total", tenant="c") is None


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("xyz")), max_size=40), st.integers(1, 4))
def test_however_many_values_labels_have_nothing_is_lost_and_only_so_many_are_told_apart(calls, most):
    metrics = Metrics(WHO, "0.1.0", process=False, limits=MetricsLimits(most_values=most))
    for tenant, reason in calls:
        metrics.refused(tenant, reason)
    [family] = [family for family in metrics.registry.collect() if family.name == "tandem_refusals"]
    told = [s for s in family.samples if s.name.endswith("_total")]
    assert sum(s.value for s in told) == len(calls)
    for place, label in enumerate(("tenant", "reason")):
        first = list(dict.fromkeys(call[place] for call in calls))[:most]
        assert {s.labels[label] for s in told} - {"other"} == set(first)


class Recorder(Observer):
    def __init__(self) -> None:
        self.heard: list[tuple] = []

    def queued(self, feeds: int) -> None:
        self.heard.append(("queued", feeds))


def test_several_observers_hear_the_same(metrics):
    one, two = Recorder(), Recorder()
    both = together(one, metrics, two)
    tell_everything(both)
    assert one.heard == two.heard == [("queued", 3)]
    assert sample(metrics, "tandem_queue_feeds") == 3
    assert sample(metrics, "tandem_evictions_total") == 2


def test_what_one_alone_hears_goes_straight_to_it(metrics):
    assert together(Recorder(), metrics).passed == metrics.passed
    assert together() is NOBODY
    assert together(metrics) is metrics

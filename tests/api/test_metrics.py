"""From what parts count to what Prometheus reads."""

import pytest

from api.metrics import Metrics, Sample


def total(value: float, **labels: str) -> Sample:
    return Sample("things", "Things done.", value, labels, total=True)


def gauge(value: float, **labels: str) -> Sample:
    return Sample("waiting", "Things to do.", value, labels)


def shown(metrics: Metrics, name: str) -> float | None:
    metrics.flush()
    for line in metrics.text().decode().splitlines():
        if line.startswith(f"taskforge_{name} "):
            return float(line.rpartition(" ")[2])
    return None


def test_gauges_follow_and_totals_grow() -> None:
    metrics = Metrics()
    samples = [gauge(3), total(2)]
    with metrics.showing(lambda: samples):
        assert (shown(metrics, "waiting"), shown(metrics, "things_total")) == (3, 2)
        samples[:] = [gauge(1), total(7)]
        assert (shown(metrics, "waiting"), shown(metrics, "things_total")) == (1, 7)
        assert shown(metrics, "things_total") == 7


def test_a_part_that_began_anew_goes_on_counting_where_the_process_was() -> None:
    metrics = Metrics()
    with metrics.showing(lambda: [total(5)]):
        metrics.flush()
    with metrics.showing(lambda: [total(2)]):
        assert shown(metrics, "things_total") == 7


def test_what_a_part_no_longer_mentions_is_zero_and_not_what_it_last_was() -> None:
    metrics = Metrics()
    samples = [gauge(4, range="0"), gauge(5, range="1")]
    with metrics.showing(lambda: samples):
        assert shown(metrics, 'waiting{range="1"}') == 5
        del samples[1]
        assert shown(metrics, 'waiting{range="1"}') == 0
        assert shown(metrics, 'waiting{range="0"}') == 4
    assert shown(metrics, 'waiting{range="0"}') == 0


def test_two_sources_share_a_metric_by_their_labels() -> None:
    metrics = Metrics()
    with metrics.showing(lambda: [total(1, consumer="a")]), metrics.showing(lambda: [total(2, consumer="b")]):
        assert shown(metrics, 'things_total{consumer="a"}') == 1
        assert shown(metrics, 'things_total{consumer="b"}') == 2


def test_what_is_counted_outside_is_handed_over_first() -> None:
    metrics = Metrics()
    waiting = [2.0]
    metrics.before_flush(lambda: waiting.append(9.0))
    with metrics.showing(lambda: [gauge(waiting[-1])]):
        assert shown(metrics, "waiting") == 9


@pytest.mark.parametrize(("greatest", "wanted"), [(False, "livesum"), (True, "livemax")])
def test_processes_that_share_their_metrics_are_added_up_or_the_greatest_counts(greatest: bool, wanted: str) -> None:
    metrics = Metrics()
    with metrics.showing(lambda: [Sample("lag", "Behind.", 1, greatest=greatest)]):
        metrics.flush()
        assert metrics._gauges["lag"]._multiprocess_mode == wanted

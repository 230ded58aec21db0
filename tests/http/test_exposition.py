"""The text form, read back with Prometheus's own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from actorfaas.http import exposition


def test_label_values_are_escaped() -> None:
    odd = 'a "b"\\c\nd'
    (read,) = text_string_to_metric_families(exposition.family("x", "gauge", "Text", [({"name": odd}, 1)]))
    assert [(sample.labels, sample.value) for sample in read.samples] == [({"name": odd}, 1.0)]


def test_a_number_without_labels() -> None:
    (read,) = text_string_to_metric_families(exposition.counter("x_total", "Text", 3))
    assert (read.name, read.type, read.documentation) == ("x", "counter", "Text")
    assert [sample.value for sample in read.samples] == [3.0]


def test_a_histogram_is_cumulative() -> None:
    text = exposition.histogram_head("x", "Text") + exposition.histogram("x", {"a": "b"}, ("1", "2"), (3, 0, 4), 9.5)
    (read,) = text_string_to_metric_families(text)
    found = {(sample.name, sample.labels.get("le")): sample.value for sample in read.samples}
    assert found == {
        ("x_bucket", "1"): 3,
        ("x_bucket", "2"): 3,
        ("x_bucket", "+Inf"): 7,
        ("x_sum", None): 9.5,
        ("x_count", None): 7,
    }

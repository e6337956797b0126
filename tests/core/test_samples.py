"""Samples: the sum over processes has each number once, in an order that its text format allows."""

from netra_backend.core.samples import Family, Sample, lasting, summed


def family(name: str, type: str, *samples: tuple[str, dict[str, str], float]) -> Family:
    return Family(
        name, type, f"what {name} is", [Sample(n, tuple(d.items()), v) for n, d, v in samples]
    )


def buckets(code: str, one: float, inf: float) -> list[tuple[str, dict[str, str], float]]:
    return [
        ("s_bucket", {"code": code, "le": "1"}, one),
        ("s_bucket", {"code": code, "le": "+Inf"}, inf),
        ("s_count", {"code": code}, inf),
    ]


def test_each_sample_is_the_sum_of_those_with_its_labels() -> None:
    here = [family("c", "counter", ("c_total", {"code": "x"}, 2), ("c_total", {}, 1))]
    there = [family("c", "counter", ("c_total", {"code": "y"}, 5), ("c_total", {"code": "x"}, 3))]
    assert summed([here, there]) == [
        family(
            "c", "counter",
            ("c_total", {"code": "x"}, 5), ("c_total", {}, 1), ("c_total", {"code": "y"}, 5),
        )
    ]  # fmt: skip


def test_the_buckets_of_a_histogram_stay_together() -> None:
    here = [family("s", "histogram", *buckets("x", 1, 2))]
    there = [family("s", "histogram", *buckets("y", 3, 4), *buckets("x", 5, 6))]
    expected = family("s", "histogram", *buckets("x", 6, 8), *buckets("y", 3, 4))
    assert summed([here, there]) == [expected]


def test_a_label_tells_apart_what_has_no_sum() -> None:
    parts = [[family("g", "gauge", ("g", {"worker": str(pid)}, pid))] for pid in (1, 2)]
    (total,) = summed(parts)
    assert [sample.value for sample in total.samples] == [1, 2]


def test_of_nothing_there_is_no_sum_and_of_one_it_is_that() -> None:
    one = [family("g", "gauge", ("g", {}, 1)), family("c", "counter")]
    assert summed([]) == []
    assert summed([one]) == one
    assert summed([[], one, []]) == one


def test_what_only_grows_lasts() -> None:
    all_types = [family(type[0], type) for type in ("counter", "gauge", "histogram")]
    assert [each.type for each in lasting(all_types)] == ["counter", "histogram"]

"""What is left out is counted by class, and a change of the mix is reported."""

import math

import numpy as np
import pytest

from fairexit.data.left_out import LeftOut, mix_p_value, mix_warnings


def exact_p_value(out, stay):
    """Sum the probabilities of all tables of two classes that are at least as uneven."""
    total, drawn = out + stay, int(out.sum())
    expected = total * drawn / total.sum()

    def statistic(first):
        return (((first - expected[0]) / expected[0] ** 0.5) ** 2) + (
            ((drawn - first - expected[1]) / expected[1] ** 0.5) ** 2
        )

    ways = {
        first: math.comb(total[0], first) * math.comb(total[1], drawn - first)
        for first in range(drawn + 1)
    }
    observed = statistic(int(out[0])) - 1e-9
    extreme = sum(n for first, n in ways.items() if statistic(first) >= observed)
    return extreme / sum(ways.values())


@pytest.mark.parametrize("out", [(9, 1), (7, 3), (5, 5), (0, 10)])
def test_the_p_value_is_that_of_all_tables(out):
    out = np.array(out)
    stay = np.array([40, 60]) - out
    expected = exact_p_value(out, stay)
    assert mix_p_value(out, stay) == pytest.approx(expected, abs=0.012)


def test_the_rule_is_seldom_wrong_where_chance_leaves_out():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), (200, 100, 60, 30, 8, 2))
    wrong = 0
    for _ in range(100):
        out = rng.permutation(len(labels)) < 40
        counts = [np.bincount(labels[m], minlength=6) for m in (out, ~out)]
        wrong += mix_p_value(*counts) < 0.01
    assert wrong <= 5


def test_the_warning_names_classes_and_shares():
    left = {"unknown sex": {"ACK": 50, "NEV": 50}, "missing file": {"ACK": 1, "BCC": 1}}
    kept = {"ACK": 49, "NEV": 50, "BCC": 99, "MEL": 40, "SCC": 30}
    (line,) = mix_warnings(left, kept)
    assert line.startswith(
        "100 rows were left out (unknown sex), and not evenly over the classes (p < 0.001): "
        "50 % of ACK, 50 % of NEV"
    )
    assert line.endswith("0 % of SCC; what is measured is not the whole")


def test_nothing_to_compare_is_no_warning():
    assert mix_warnings({"missing file": {"a": 5}}, {"a": 9}) == []
    assert mix_warnings({"missing file": {"a": 5}}, {}) == []


def test_rows_without_a_label_have_no_class():
    left = LeftOut([("1", "no label", None), ("2", "unreadable image: x", "a")])
    assert left.by_class() == {"unreadable image": {"a": 1}}
    assert left.counts() == {"no label": 1, "unreadable image": 1}

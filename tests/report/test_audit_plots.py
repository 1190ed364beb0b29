"""The figures of an audit show its numbers."""

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
from made_audit import made_audit

from fairexit.errors import UserError
from fairexit.report.audit_plots import plot_audit, plot_classes, plot_thresholds
from fairexit.report.figures import save_figure


def bars(axes):
    """Label -> heights of the bars of one colour."""
    return {c.get_label(): [bar.get_height() for bar in c] for c in axes.containers}


def test_there_is_a_figure_of_each_part_and_it_can_be_saved(tmp_path):
    audit = made_audit(attributes={"sex": ("f", "m"), "tone": ("dark", "mid", "light")})
    figures = plot_audit(audit)
    parts = ("classes", "threshold", "exits")
    assert list(figures) == [f"{part} by {of}" for of in ("sex", "tone") for part in parts]
    for figure in figures.values():
        save_figure(figure, tmp_path / "figure")
    plain = replace(audit.attributes[0], curve=None, exit_usage=None)
    assert list(plot_audit(replace(audit, attributes=(plain,)))) == ["classes by sex"]


def test_bars_of_classes_are_the_measured_gaps():
    attribute = made_audit().attributes[0]
    axes = plot_classes(attribute).axes[0]
    large = [gap for gap in attribute.classes if gap.verdict != "too few samples"]
    for rate, name in (("tpr", "true positive rate"), ("fpr", "false positive rate")):
        expected = [gap.estimate.value for gap in large if gap.rate == rate]
        assert bars(axes)[name] == pytest.approx(expected)
    assert [t.get_text() for t in axes.get_xticklabels()] == [
        "MEL",
        "NV",
        "BCC\n(too few samples)",
        "AK",
    ]
    intervals, null_means = (
        np.concatenate([c.get_segments() for c in axes.collections[first::2]]) for first in (0, 1)
    )
    order = sorted(large, key=lambda gap: gap.rate, reverse=True)
    assert intervals[:, :, 1].tolist() == [[g.estimate.low, g.estimate.high] for g in order]
    assert null_means[:, 0, 1].tolist() == [g.null_mean for g in order]


def test_classes_that_are_all_too_small_leave_the_figure_empty():
    attribute = made_audit().attributes[0]
    small = tuple(replace(gap, verdict="too few samples") for gap in attribute.classes)
    axes = plot_classes(replace(attribute, classes=small)).axes[0]
    assert not axes.patches
    assert all("too few samples" in label.get_text() for label in axes.get_xticklabels())


def test_bars_of_exits_are_the_shares_of_the_groups():
    usage = made_audit().attributes[0].exit_usage
    axes = plot_audit(made_audit())["exits by sex"].axes[0]
    for group, heights in bars(axes).items():
        assert heights == [row.share.value for row in usage.rows if row.group == group]
    assert set(bars(axes)) == {row.group for row in usage.rows}
    assert axes.get_xticklabels()[-1].get_text() == "final"


def test_the_theta_in_use_is_marked_where_there_is_one():
    curve = made_audit().attributes[0].curve
    lines = plot_thresholds(curve).axes[0].get_lines()
    assert len(lines) == len(curve.metrics) + 2
    np.testing.assert_array_equal(lines[0].get_ydata(), next(iter(curve.metrics.values())))
    assert lines[-1].get_label() == "threshold in use, 0.9"
    bare = replace(curve, used=math.nan, cost=np.array([]))
    assert len(plot_thresholds(bare).axes[0].get_lines()) == len(curve.metrics)


def test_figures_without_matplotlib_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"^AuditReport.figures\(\) needs the extra 'figures': pip"):
        made_audit().figures()

"""Figures 2a and 2b: their rows, their axis, their lines against loops, and what they say."""

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from networks import pooled

from fairexit.metrics.counts import count
from fairexit.metrics.record import compute, main_metrics
from fairexit.stats.resampling import named_measures
from fairexit.study.drawn import draw_sides
from fairexit.study.figure_rows import THETAS, figure_rows, figure_sides
from fairexit.study.figures import exit_figure, theta_figure, write_figures

EXITS = ("1", "3", "f")


@pytest.fixture(scope="module")
def study():
    cells = [pooled("ERM", seed, 2.0, images=300) for seed in (0, 1)]
    for row in ("ME-ERM", "ME-HSIC"):
        cells += [pooled(row, s, 2.0, exits=EXITS, theta=0.8, images=300) for s in (0, 1)]
    return cells


@pytest.fixture(scope="module")
def drawn(study):
    return draw_sides(study, figure_sides(study, ["ME-HSIC"]), named_measures(main_metrics()))


def cells(study, row="ME-HSIC"):
    return [cell for cell in study if cell.row == row]


def test_which_rows_are_shown(study):
    assert figure_rows(study) == ["ME-ERM"]
    assert figure_rows(study, ["ME-HSIC", "ERM"]) == ["ME-HSIC"]
    assert figure_rows(cells(study)) == ["ME-HSIC"]
    assert figure_rows(cells(study, "ERM")) == []


def values(cell, exit_rule):
    """Metrics by a loop over the samples."""
    [p] = cell.predictions
    answers = []
    for sample in p.probabilities:
        leaves = [len(sample) - 1]
        if isinstance(exit_rule, str):
            leaves = [p.exit_names.index(exit_rule)]
        else:
            leaves = [k for k in range(2) if sample[k].max() >= np.float32(exit_rule)] + leaves
        answers.append(int(sample[leaves[0]].argmax()))
    sex = p.attributes["sex"]
    counts = count(p.labels, np.array(answers), sex, num_classes=len(p.classes), num_groups=2)
    return compute(counts)


def lines_of(figure):
    """Label -> x and y of a figure's labelled lines."""
    lines = [line for panel in figure.axes for line in panel.lines]
    return {
        str(line.get_label()): line.get_xydata().T
        for line in lines
        if not str(line.get_label()).startswith("_")
    }


LABELS = {"F1": "f1", "Accuracy": "accuracy", "Eopp1": "eopp1", "Eodd by images": "eodd_weighted"}


def test_lines_over_theta_equal_loops(study, drawn):
    figure = theta_figure(cells(study), drawn, "data")
    lines = lines_of(figure)
    for label, key in LABELS.items():
        expected = [np.mean([values(cell, t)[key] for cell in cells(study)]) for t in THETAS]
        np.testing.assert_allclose(lines[label][1], expected, atol=1e-12)


def test_points_by_exit_equal_loops(study, drawn):
    lines = lines_of(exit_figure(cells(study), drawn, "data"))
    for label, key in LABELS.items():
        rules = [*EXITS, 0.8]
        expected = [np.mean([values(cell, r)[key] for cell in cells(study)]) for r in rules]
        np.testing.assert_allclose(lines[label][1], expected, atol=1e-12)


def test_the_axis_opens_the_high_thetas(study, drawn):
    panel = theta_figure(cells(study), drawn, "data").axes[0]
    at = dict(zip([t.get_text() for t in panel.get_xticklabels()], panel.get_xticks(), strict=True))
    assert at["0.99"] - at["0.9"] == pytest.approx(at["0.999"] - at["0.99"])
    assert at["0.999"] - at["0.8"] > 0.5 * (at["final\nexit"] - at["0.5"])


def test_bands_are_the_studys_intervals(study, drawn):
    panel = theta_figure(cells(study), drawn, "data").axes[0]
    [side] = [s for s in figure_sides(study, ["ME-HSIC"]) if s.exit_rule == THETAS[3]]
    interval = drawn.contrast("accuracy", {side: 1.0}).interval()
    x = -np.log10(1 - THETAS[3])
    corners = panel.collections[0].get_paths()[0].vertices
    ends = corners[np.isclose(corners[:, 0], x), 1]
    assert interval.low < interval.point < interval.high
    assert (ends.min(), ends.max()) == pytest.approx((interval.low, interval.high))
    for gaps in theta_figure(cells(study), drawn, "data").axes[1:]:
        bands = [c for c in gaps.collections if isinstance(c, PolyCollection)]
        assert len(bands) == 2
        for band in bands:
            assert all((path.vertices[:, 1] >= 0).all() for path in band.get_paths())


def test_captions_say_what_is_drawn(study, drawn):
    def text(figure):
        return " ".join(figure.get_supxlabel().split())

    over_theta = text(theta_figure(cells(study), drawn, "data"))
    assert "Mean over the seeds 0, 1; n = 300 test images (female" in over_theta
    assert "Bands: 95 % confidence intervals over images and seeds" in over_theta
    by_exit = text(exit_figure(cells(study)[:1], drawn, "data"))
    assert "Seed 0 alone" in by_exit
    assert "over images alone" in by_exit
    labels = exit_figure(cells(study), drawn, "data").axes[0].get_xticklabels()
    shares = [float(t.get_text().split("\n")[1].split("\u00a0")[0]) for t in labels[:-1]]
    assert sum(shares) == pytest.approx(100, abs=0.2)


def test_files_are_named_by_row_and_identical(study, tmp_path):
    files = write_figures(study, folder=tmp_path, title="data", rows=["ME-HSIC"])
    assert {f.name for f in files} == {
        f"figure2{part}-ME-HSIC.{form}" for part in "ab" for form in ("png", "svg")
    }
    before = {f: f.read_bytes() for f in files}
    write_figures(study, folder=tmp_path, title="data", rows=["ME-HSIC"])
    assert before == {f: f.read_bytes() for f in before}

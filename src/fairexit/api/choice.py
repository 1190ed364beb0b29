"""The function that chooses among runs, exits and thresholds: choose."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fairexit.api.common import Plugins
from fairexit.api.prediction import predict
from fairexit.extras import require
from fairexit.plugins import load_plugins
from fairexit.runs import Run

if TYPE_CHECKING:
    from fairexit.evaluation.selection import Selection


def choose(
    runs: "Sequence[str | Path | Run]",
    *,
    constraints: Sequence[str] = (),
    minimize: str | None = None,
    maximize: str | None = None,
    cost: float | None = None,
    group: str | None = None,
    grid: Sequence[float] | None = None,
    fallback: Literal["final", "most_confident"] = "final",
    confidence_measure: Literal["max_probability", "margin", "entropy"] = "max_probability",
    empty: Literal["exclude", "zero"] = "exclude",
    out: str | Path | None = None,
    store: bool = True,
    plugins: Plugins = (),
) -> "Selection":
    """Choose a run, and an exit or a threshold, under constraints, on validation only.

    The candidates are the exits of every run, and early exit at every threshold of the grid. The
    chosen one becomes the policy of its run, in `policy.json` with the reason, which predict,
    audit and report use. If no candidate meets the constraints, `chosen` is None and no policy is
    written.

        fairexit.choose(["runs/plain", "runs/me"], constraints=["f1 >= best - 0.01"],
                        minimize="eodd", cost=0.6)

    Args:
        runs: finished runs or their folders. Missing predictions of validation are made. A run
            whose training did not finish is left out, with a warning.
        constraints: such as "f1 >= 0.7" or "f1 >= best - 0.01", of any metric or `cost`; `best`
            is the best value on validation of all candidates.
        minimize: the metric, or `cost`, that is to be as low as possible; or
        maximize: the metric that is to be as high as possible.
        cost: the largest mean cost of an image, a share of the full network's multiply-adds.
        group: the sensitive attribute; by default that of the runs.
        grid: the thresholds that are tried; by default the paper's.
        fallback: which exit answers when none reaches the threshold.
        confidence_measure: what is compared with the threshold, as for `fairexit.evaluate`.
        empty: whether a rate without samples is left out of the gaps, or counts as 0.
        out: a folder for `front.csv` and a picture of the front; by default none is written.
        store: whether `policy.json` of the chosen run is written.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
    Returns:
        The candidates, the front and what was chosen.
    Raises:
        UserError: a constraint or metric is unknown or does not fit, the runs are of different
            data, splits or attributes, or no run is finished.
    """
    if out is not None:
        require("figures", "the picture of a choice")
    load_plugins(plugins)
    from fairexit.evaluation.choose import GRID
    from fairexit.evaluation.chosen_policy import chosen_policy
    from fairexit.evaluation.comparable import finished_runs, read_comparable
    from fairexit.evaluation.goal import parse_goal
    from fairexit.evaluation.select_point import select_point
    from fairexit.evaluation.theta import check_fallback, check_thetas
    from fairexit.predictions.confidence import check_confidence_measure

    goal = parse_goal(constraints, minimize=minimize, maximize=maximize, cost=cost)
    thetas = GRID if grid is None else tuple(grid)
    # Before predictions are made.
    check_thetas(thetas)
    check_fallback(fallback)
    check_confidence_measure(confidence_measure)
    opened = finished_runs([run.path if isinstance(run, Run) else Path(run) for run in runs])
    for run in opened:
        if not run.predictions("val").is_file():
            predict(run, splits=["val"])
    data = read_comparable(opened, group, confidence_measure)
    selection = select_point(data, goal, grid=thetas, fallback=fallback, empty=empty)
    if out is not None:
        from fairexit.report.choice_figure import write_front

        write_front(selection, Path(out))
    if store and selection.chosen is not None:
        chosen_policy(selection, confidence_measure).save(selection.chosen_run.policy)
    return selection

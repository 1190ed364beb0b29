"""fairexit evaluate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fairexit.commands.common import (
    ConfidenceMeasure,
    Fallback,
    Group,
    Plugins,
    Split,
    Threshold,
    check_exists,
    numbers,
    parse_threshold,
    show,
)
from fairexit.commands.table_options import table_options
from fairexit.errors import UserError, option
from fairexit.terminal import note, say

if TYPE_CHECKING:
    from fairexit.evaluation.assess import Assessment

EXAMPLE = "fairexit evaluate runs/me --tolerance 0.02"

MAX_NOTES = 20
"""Empty cells that are listed one by one; --json has all."""


@table_options
def evaluate(
    source: Annotated[
        Path, typer.Argument(metavar="RUN_OR_FILE", help="A run, or a table of predictions.")
    ],
    *,
    split: Split = "test",
    group: Group = None,
    threshold: Threshold = "auto",
    per_exit: Annotated[
        bool,
        typer.Option(
            "--per-exit",
            help="Let auto search a threshold for each exit: exit after exit, greedily, by the "
            "same rule.",
        ),
    ] = False,
    rule: Annotated[
        str,
        typer.Option(
            help="How auto chooses a threshold: f1, the cheapest one whose F1 is within the "
            "tolerance of the best, unless another is shown to be fairer; eodd, the lowest Eodd "
            "within the tolerance; another metric; or risk, the cheapest about which a promise can "
            "be made (--epsilon and so on)."
        ),
    ] = "f1",
    tolerance: Annotated[float, typer.Option(help="Loss of macro F1 that the rule allows.")] = 0.01,
    grid: Annotated[
        str | None,
        typer.Option(
            help="Thresholds that auto tries, such as 0.8,0.9,0.999.",
            show_default="the paper's; for --rule risk a finer grid",
        ),
    ] = None,
    loss: Annotated[
        Literal["error", "disagreement"] | None,
        typer.Option(
            help="With --rule risk: which images are bad: those answered wrongly where the final "
            "exit is right, or those answered otherwise than by the final exit.",
            show_default="error",
        ),
    ] = None,
    epsilon: Annotated[
        float | None,
        typer.Option(help="With --rule risk: largest share of bad clusters.", show_default="0.01"),
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(
            help="With --rule risk: probability with which the promise may be broken.",
            show_default="0.05",
        ),
    ] = None,
    bound: Annotated[
        Literal["binomial", "hoeffding-bentkus", "conformal"] | None,
        typer.Option(
            help="With --rule risk: how the promise is computed.", show_default="binomial"
        ),
    ] = None,
    every_group: Annotated[
        bool | None,
        typer.Option(
            "--every-group/--all-images",
            help="With --rule risk: promise it of every group, or of all images together.",
            show_default="every group",
        ),
    ] = None,
    fallback: Fallback = "final",
    confidence_measure: ConfidenceMeasure = "max_probability",
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="First fit a temperature for each exit on validation, so that a confidence of 0.9 "
            "is right in 90 of 100 cases there; it becomes a part of the policy.",
        ),
    ] = False,
    coverage: Annotated[
        float | None,
        typer.Option(
            help="Also make sets of classes that hold the true one with this probability in every "
            "group, such as 0.9; who gets not exactly one class is referred.",
            show_default="no sets",
        ),
    ] = None,
    empty: Annotated[
        Literal["exclude", "zero"],
        typer.Option(help="Leave rates without images out of the gaps, or count them as 0."),
    ] = "exclude",
    positive: Annotated[
        str | None, typer.Option(help="The class of --score.", show_default="none")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all numbers as JSON instead of tables.")
    ] = False,
    store: Annotated[
        bool,
        typer.Option(
            help="Write metrics.json and policy.json of a run, or only print the numbers."
        ),
    ] = True,
    plugins: Plugins = None,
    table: dict[str, Any],
) -> None:
    """Measure accuracy and fairness of a run or of a table of predictions.

    For a run, the numbers go into metrics.json, and the threshold, whether chosen on validation or
    set by hand, becomes the run's policy, which predict and load_model use.
    """
    check_exists(source)
    parsed_threshold = parse_threshold(threshold)
    thetas = None if grid is None else numbers("--grid", grid)
    promise = {
        "loss": loss, "epsilon": epsilon, "delta": delta, "bound": bound, "every_group": every_group
    }  # fmt: skip
    risk = {name: value for name, value in promise.items() if value is not None}
    if risk and rule != "risk":
        raise UserError(f"{option(next(iter(risk)))} needs {option('rule')} risk")
    from fairexit.api.judgement import evaluate as evaluate_source

    assessment = evaluate_source(
        source,
        split=split,
        group=group,
        threshold=parsed_threshold,
        per_exit=per_exit,
        rule=rule,
        tolerance=tolerance,
        grid=thetas,
        fallback=fallback,
        confidence_measure=confidence_measure,
        risk=risk or None,
        calibrate=calibrate,
        coverage=coverage,
        empty=empty,
        store=store,
        **table | ({} if positive is None else {"positive": positive}),
    )
    evaluation = assessment.evaluation
    for line in assessment.predictions.notes:
        note(f"note: {line}")
    if as_json:
        from fairexit.files import json_text

        print(json_text(evaluation.to_dict()))
        return
    _show(source, assessment)
    treatment = "left out of the gaps" if empty == "exclude" else "its rates count as 0"
    for name, label in evaluation.empty_cells[:MAX_NOTES]:
        say(f"note: no image of class '{label}' in group '{name}'; {treatment}")
    if (more := len(evaluation.empty_cells) - MAX_NOTES) > 0:
        say(f"note: {more:,} more classes are without an image in a group; {treatment}")


def _show(source: Path, assessment: "Assessment") -> None:
    """Print the tables, where the threshold comes from, and what the numbers leave out."""
    from fairexit.evaluation.evaluate import ONE_ANSWER
    from fairexit.evaluation.policy import BY_HAND
    from fairexit.report import evaluation_tables as tables
    from fairexit.report.calibration_text import temperature_table
    from fairexit.report.theta_text import choice_lines

    evaluation = assessment.evaluation
    show(tables.fairness_table([assessment]))
    show(tables.summary_table([assessment]))
    if len(assessment.predictions.exit_names) > 1:
        show(tables.exit_table(assessment))
    for line in choice_lines(evaluation.policy):
        say(line)
    policy, samples = evaluation.policy, assessment.predictions
    if policy.temperatures is not None:
        show(temperature_table(policy.temperatures))
    if policy.sets is not None:
        from fairexit.evaluation.referral import referrals
        from fairexit.report.referral_text import referral_table, sets_text

        show(referral_table(referrals(samples, policy, *samples.group(assessment.group))))
        say(sets_text(policy.sets))
    if evaluation.policy.rule == BY_HAND and assessment.policy_stored:
        say(
            f"It is now the policy of {source}, which predict and load_model use; `fairexit "
            f"evaluate {source}` chooses one on validation again."
        )
    if evaluation.unknown:
        say(
            f"note: {evaluation.unknown} of {evaluation.n + evaluation.unknown} samples have no "
            f"known {assessment.group} and are left out of all numbers"
        )
    if evaluation.only_answer:
        say(f"note: {ONE_ANSWER.format(evaluation.only_answer)}")

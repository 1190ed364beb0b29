"""Temperatures, calibration and failure prediction as tables and sentences."""

from collections.abc import Sequence

from fairexit.auditing.section_results import Reliability
from fairexit.evaluation.temperatures import Temperatures
from fairexit.evaluation.theta import exit_name
from fairexit.report.vocabulary import decimal, interval_text, listed
from fairexit.tables import Table


def temperature_table(temperatures: Temperatures) -> Table:
    """The temperature of each exit, and what it does to validation."""
    columns = ["Exit", "Temperature", "95 % interval", "Loss without", "Loss with"]
    rows = [
        [
            exit_name(exit.exit),
            f"{exit.value:.3f}",
            f"{exit.low:.3f} to {exit.high:.3f}",
            f"{exit.loss_before:.4f}",
            f"{exit.loss_after:.4f}",
        ]
        for exit in temperatures.exits
    ]
    title = (
        f"Temperatures, fitted to {temperatures.images:,} validation images of "
        f"{temperatures.clusters:,} clusters (loss: mean negative log-likelihood, in nats)"
    )
    return Table(title, columns, rows)


def temperature_line(temperatures: Temperatures) -> str:
    """By what the logits are divided, and what that means, as a sentence."""
    values = ", ".join(f"{exit_name(e.exit)} {e.value:.3f}" for e in temperatures.exits)
    return (
        "The probabilities are calibrated: the logits of each exit are divided by a temperature "
        f"fitted on validation ({values}), which changes no answer of an exit."
    )


def place_name(exit: str) -> str:
    """Where samples leave: at one exit all of them, or by the policy."""
    return exit_name(exit) if exit else "policy"


def reliability_table(rows: Sequence[Reliability]) -> Table:
    """Calibration and failure prediction by exit and group."""
    columns = [
        "Exit", "Group", "Samples", "Accuracy", "Confidence minus accuracy", "ECE",
        "ECE by chance alone", "Right ranked above wrong",
    ]  # fmt: skip
    cells = [
        [
            place_name(row.exit),
            row.group or "all",
            f"{row.n:,}",
            decimal(row.accuracy),
            interval_text(row.excess),
            decimal(row.ece),
            decimal(row.chance),
            interval_text(row.failure),
        ]
        for row in rows
    ]
    return Table("Confidence and accuracy, if all samples left at one exit", columns, cells, 2)


def reliability_text(rows: Sequence[Reliability]) -> str:
    """Where groups are not as sure as they are right, and how well confidence finds errors.

    It speaks of the answers in use: those under the policy, or of the only exit.
    """
    place = rows[-1].exit
    in_use = [row for row in rows if row.exit == place]
    off = [
        f"too {word} for {listed(who)}"
        for word, sign in (("sure", 1), ("unsure", -1))
        if (who := [_amount(row) for row in in_use if _is_off(row, sign)])
    ]
    first = (
        f"The answers in use are {' and '.join(off)}"
        if off
        else "No group's answers in use are shown to be too sure or too unsure"
    )
    ranks = [f"{interval_text(row.failure)} for {_who(row)}" for row in in_use]
    return (
        f"{first}. A right answer is surer than a wrong one with probability {listed(ranks)} (0.5: "
        "confidence says nothing of errors). Neither follows from the other."
    )


def _is_off(row: Reliability, sign: int) -> bool:
    """Whether the interval of the excess lies wholly on one side of 0."""
    return sign * row.excess.low > 0 and sign * row.excess.high > 0


def _amount(row: Reliability) -> str:
    return f"{_who(row)} (confidence minus accuracy {interval_text(row.excess)})"


def _who(row: Reliability) -> str:
    return row.group or "all samples"

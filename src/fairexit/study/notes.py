"""Notes under the tables of a study: budgets, missing rows, and methods without effect."""

from collections.abc import Sequence

from fairexit.study.collect import Pooled
from fairexit.study.drawn import Drawn
from fairexit.study.paper import CLASSES, Printed
from fairexit.study.paper_tables import row_mark
from fairexit.study.plan import Study


def row_marks(pooled: Sequence[Pooled]) -> dict[str, str]:
    """Row -> mark, for the rows that have collapsed or whose method had almost no effect."""
    rows: dict[str, list[Pooled]] = {}
    for cell in pooled:
        rows.setdefault(cell.row, []).append(cell)
    marks = {row: row_mark(cells) for row, cells in rows.items()}
    return {row: mark for row, mark in marks.items() if mark}


def print_note(cell: Pooled, paper: Printed | None) -> str:
    """A warning where the printed numbers are those of another task or network, else ""."""
    if paper is None:
        return ""
    printed, ours = CLASSES[paper.dataset], len(cell.classes)
    backbone = cell.runs[0].config.model.backbone
    text = ""
    if printed != ours:
        text += (
            f"**The printed numbers are of {printed} classes, ours of {ours}: not the same task.** "
        )
    if paper.backbone != backbone:
        text += f"**The printed numbers are of {paper.backbone}, ours of {backbone}.** "
    return text


def left_out_note(drawn: Drawn) -> str:
    """Which rows take no part in the claims and why, else ""."""
    sentences = [
        f"**{row} takes no part in any claim: {reason}.** "
        for row, reason in drawn.left_out.items()
    ]
    if drawn.unchecked:
        sentences.append(
            f"F1 of {', '.join(drawn.unchecked)} was not compared with that of ERM with the same "
            "exits, which was not run. "
        )
    return "".join(sentences)


def settings_note(study: Study, pooled: Sequence[Pooled]) -> str:
    """The note under each table: seeds, images, budget of every method, and exceptions from it."""
    seeds = sorted({cell.seed for cell in pooled})
    rows = {cell.row for cell in pooled}
    missing = [row for row in study.rows if row not in rows]
    choice = study.choice
    searched = {row: trials for row, trials in study.trials.items() if row in rows}
    listed, folds = ", ".join(map(str, seeds)), len(pooled[0].runs)
    over = f"Mean ± standard deviation over the seeds {listed}" if len(seeds) > 1 else "One seed"
    sentences = [
        f"{over}. {len(pooled[0].ids)} "
        + (f"images, each answered out of fold ({folds} folds)." if folds > 1 else "test images."),
        f"Each method: {_budget(pooled[0])} on validation, theta"
        + " of each exit" * choice.per_exit
        + f" by rule {choice.rule} on "
        f"validation (tolerance {choice.tolerance:g}).",
        "Hyper-parameters as the study sets them"
        + "".join(f"; of {row} searched over {n} trials" for row, n in searched.items())
        + ".",
    ]
    sentences += _exceptions(pooled, seeds)
    sentences += [f"{row}: {mark}." for row, mark in row_marks(pooled).items()]
    if missing:
        sentences.append(f"Not run{' in every fold' * (folds > 1)}: {', '.join(missing)}.")
    return " ".join(sentences) + "\n"


def _exceptions(pooled: Sequence[Pooled], seeds: Sequence[int]) -> list[str]:
    """Sentences on rows with fewer seeds than others, or with another budget than the first row."""
    sentences, usual = [], _budget(pooled[0])
    for row in dict.fromkeys(cell.row for cell in pooled):
        cells = [cell for cell in pooled if cell.row == row]
        if len(cells) < len(seeds):
            listed = ", ".join(str(cell.seed) for cell in cells)
            sentences.append(f"{row} has only seed{'s' * (len(cells) > 1)} {listed}.")
        if _budget(cells[0]) != usual:
            sentences.append(f"But {row}: {_budget(cells[0])}.")
    return sentences


def _budget(cell: Pooled) -> str:
    config = cell.runs[0].config
    further = config.prune.further_epochs if config.prune is not None else 0
    text = f"{config.train.epochs} epochs, the epoch with the best {config.train.select}"
    return text + (f", and {further} of fine-tuning" if further else "")

"""The ranking of methods by Wang et al. 2020 on CIFAR-10S beside ours on planted prevalence.

CIFAR-10S is the same cause on other images: half of the classes are 95 % grey, the others 95 % in
colour, and half of the test images of every class are grey.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from fairexit.study.collect import Pooled
from fairexit.study.drawn import Drawn
from fairexit.study.paper import common_name
from fairexit.study.repairs import side_of
from fairexit.study.words import Direction, direction_of
from fairexit.tables import Table, number

PRINTED = {
    "ERM": ("baseline", 0.885),
    "AdvConf": ("adversary, uniform confusion", 0.838),
    "AdvRev": ("adversary, gradient reversal", 0.841),
    "Balanced": ("oversampling", 0.891),
    "DomainIndep": ("domain-independent", 0.924),
}
"""Row -> its name there, and its accuracy on CIFAR-10S (their Table 1)."""
PLACES = {
    "for": "as printed",
    "against": "the other way round",
    "open": "not decided",
}


@dataclass(frozen=True)
class Order:
    """Two methods whose accuracy is compared.

    Attributes:
        better, worse: their rows, as the printed accuracies order them.
        difference: our accuracy of the first minus that of the second.
        direction: whether the interval of the difference lies wholly above 0 ("for"), wholly below
            0 ("against"), or neither; "open" with one seed.
    """

    better: str
    worse: str
    difference: float
    direction: Direction


def printed_rows(pooled: Sequence[Pooled]) -> dict[str, str]:
    """The study's rows whose methods are printed, the best printed one first -> common name."""
    rows = {cell.row: common_name(cell.row) for cell in pooled}
    printed = {row: name for row, name in rows.items() if name in PRINTED}
    return dict(sorted(printed.items(), key=lambda pair: -PRINTED[pair[1]][1]))


def orders(pooled: Sequence[Pooled], drawn: Drawn) -> list[Order]:
    """Every pair of printed methods of which both were run with a common seed."""
    pairs = []
    for better, worse in combinations(printed_rows(pooled), 2):
        weights = {side_of(better): 1.0, side_of(worse): -1.0}
        if not (seeds := drawn.seeds(weights)):
            continue
        interval = drawn.contrast("accuracy", weights).interval()
        low, high = float(interval.low), float(interval.high)
        direction = direction_of(low, high, sign=1) if len(seeds) > 1 else "open"
        pairs.append(Order(better, worse, float(interval.point), direction))
    return pairs


def ranking_table(pooled: Sequence[Pooled], drawn: Drawn) -> Table:
    """Printed and our accuracies with their ranks, the best printed one first."""
    names = printed_rows(pooled)
    printed = {row: PRINTED[name][1] for row, name in names.items()}
    ours = {row: _accuracy(row, drawn) for row in names}
    rows = []
    for row, name in names.items():
        there = [number(printed[row]), str(_rank(row, printed))]
        rows.append([row, PRINTED[name][0], *there, number(ours[row]), str(_rank(row, ours))])
    columns = ["Method", "in Wang et al. 2020", "accuracy there", "rank", "accuracy here", "rank"]
    return Table("The ranking of Wang et al. 2020 on CIFAR-10S, and ours", columns, rows, 2)


def agreement(pairs: Sequence[Order]) -> str:
    """In words, which orders of two methods agree with the printed ones."""
    parts = []
    for direction, place in PLACES.items():
        names = [f"{p.better} above {p.worse}" for p in pairs if p.direction == direction]
        if names:
            parts.append(f"{len(names)} {place} ({', '.join(names)})")
    return (
        f"Of {len(pairs)} printed orders of two methods, accuracy here has "
        f"{'; '.join(parts)}. An order is decided if the 95 % interval of the difference, over "
        "images and seeds, leaves out 0. Those images, networks and numbers of classes are "
        "others, so that orders can be compared and accuracies cannot."
    )


def _accuracy(row: str, drawn: Drawn) -> float:
    side = side_of(row)
    return drawn.mean("accuracy", [side], drawn.seeds([side]))


def _rank(row: str, values: dict[str, float]) -> int:
    """1 for the highest value; equal values share a rank."""
    return 1 + sum(value > values[row] for value in values.values())

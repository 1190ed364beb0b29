"""Tables that mean the same as a sound one: the same numbers, an error, or a note."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from .mutations import Rows, table_bytes
from .seeds import prediction_rows

Call = Callable[[list[str]], tuple[int | None, str, str, str]]
WORDS = ["evaluate", "t.csv", "--group", "sex", "--json"]


def _permute(rows: Rows, rng: Random) -> Rows:
    return [rows[0], *rng.sample(rows[1:], len(rows) - 1)]


def _columns(rows: Rows, rng: Random) -> Rows:
    """The columns in another order, that of the classes among each other included."""
    order = rng.sample(range(len(rows[0])), len(rows[0]))
    return [[row[i] for i in order] for row in rows]


def _extra(rows: Rows, rng: Random) -> Rows:
    more = [f"extra {rng.random()}" for _ in rows]
    return [[*row, text] for row, text in zip(rows, more, strict=True)]


def _respell(rows: Rows, rng: Random) -> Rows:
    """Blanks and case of some cells of the labels, answers and groups."""
    names = [i for i, name in enumerate(rows[0]) if name in ("label", "prediction", "sex")]
    change = rng.choice(
        [str.upper, str.title, lambda t: f"{t} ", lambda t: f" {t}", lambda t: f"\t{t}"]
    )
    column, share = rng.choice(names), rng.choice([0.1, 1.0])
    return [
        rows[0],
        *(
            [change(c) if i == column and rng.random() < share else c for i, c in enumerate(row)]
            for row in rows[1:]
        ),
    ]


def _numbers(rows: Rows, rng: Random) -> Rows:
    """Classes as numbers, in another form in one of the columns."""
    as_number = {"mel": "0", "nev": "1", "bcc": "2"}
    forms = [
        lambda t: f"{t}.0",
        lambda t: f"0{t}",
        lambda t: f"{t}e0",
        lambda t: f"+{t}",
        lambda t: t,
    ]
    form, column = rng.choice(forms), rng.choice(["label", "prediction"])
    which = [i for i, name in enumerate(rows[0]) if name in ("label", "prediction")]
    return [
        rows[0],
        *(
            [
                (form if rows[0][i] == column else str)(as_number[c]) if i in which else c
                for i, c in enumerate(row)
            ]
            for row in rows[1:]
        ),
    ]


def _truth(rows: Rows, rng: Random) -> Rows:
    """Two classes as truth values that two tools write in two ways."""
    column = rng.choice([1, 5])
    forms = rng.choice(
        [("True", "False"), ("1", "0"), ("1.0", "0.0"), ("TRUE", "FALSE"), ("true", "false")]
    )
    return [
        rows[0],
        *(
            [
                (forms if i == column else ("true", "false"))[c != "mel"] if i in (1, 5) else c
                for i, c in enumerate(row)
            ]
            for row in rows[1:]
        ),
    ]


def _two_classes(rows: Rows) -> Rows:
    return [rows[0], *([*r[:1], _two(r[1]), *r[2:5], _two(r[5])] for r in rows[1:])]


def _two(name: str) -> str:
    return "true" if name == "mel" else "false"


MEANINGS: dict[str, Callable[[Rows, Random], Rows]] = {
    "rows in another order": _permute,
    "columns in another order": _columns,
    "an extra column": _extra,
    "another case or blanks": _respell,
    "numbers in another form": _numbers,
    "truth values in another form": _truth,
}


def check_meaning(folder: Path, rng: Random, call: Call) -> tuple[list[str], int | None, str, str]:
    """Evaluate a table and one that means the same.

    Returns:
        The words, the status, the fault and the error lines of the second.
    """
    name = rng.choice(list(MEANINGS))
    scores = rng.random() < 0.5 and name in list(MEANINGS)[:3]
    rows = prediction_rows(scores)
    sound = _two_classes(rows) if name.startswith("truth") else rows
    (folder / "t.csv").write_bytes(table_bytes(sound, "csv", Random(0)))
    _, expected, _, trace = call(WORDS)
    changed = MEANINGS[name](rows, rng)
    (folder / "t.csv").write_bytes(_csv(changed))
    status, printed, errors, second = call(WORDS)
    words = [*WORDS, f"({name})"]
    if trace or second or status not in (0, 2):
        return words, status, trace or second or f"status {status}", errors
    if status == 2 or "note" in errors:  # said, so not in silence
        return words, status, "", errors
    fault = _difference(json.loads(expected), json.loads(printed))
    return words, status, fault, errors


def _csv(rows: Rows) -> bytes:
    return "".join(",".join(row) + "\n" for row in rows).encode()


def _measured(tree: dict[str, Any]) -> dict[str, float | None]:
    """The metrics and the number of samples, wherever in the answer they stand."""
    if isinstance(tree.get("metrics"), dict):
        return {"n": tree.get("n"), **tree["metrics"]}
    inner = [_measured(part) for part in tree.values() if isinstance(part, dict)]
    return next((measured for measured in inner if measured), {})


def _difference(expected: dict[str, Any], other: dict[str, Any]) -> str:
    """The first number that differs, or ""."""
    first, second = _measured(expected), _measured(other)
    for name, a in first.items():
        b = second.get(name)
        same = a is b or (a is not None and b is not None and math.isclose(a, b, abs_tol=1e-9))
        if not same:
            return f"other numbers with status 0 and without a note: {name} is {b}, not {a}"
    return ""

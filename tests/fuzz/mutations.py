"""Mutations of bytes, tables and trees of values; all drawn from one generator of a case."""

import copy
import io
import json
import math
from random import Random
from typing import Any

import pandas as pd

ODD = [
    "", " ", "nan", "NaN", "inf", "-inf", "1e999", "-1", "0", "1", "0.0", "01", "true", "None",
    "null", "=cmd|' /C calc'!A0", "@x", "\x1b[31m\x07", "e\u0301", "\u00e9", "9" * 400, "[1]", "{}",
    "2020-01-01", "\ufeff", "[/b]", "'", '"', "\t", "\r", "\n", ";", ",", "..", "/dev/null",
    "../../x", "x" * 20_000, "\u202e", "\x00", "test", "train", "a,b", "\ud800",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, -1, 0, 1, 7, 2**31, 10**30, -0.5, 1e-300, 1e308, math.nan, math.inf, "", "x",
    "nan", "0.5", "x" * 5_000, "\x1b[31m", [], {}, [[]], [None], {"a": 1}, [1, "a"], [0.5, 0.5],
]  # fmt: skip

Rows = list[list[str]]


def mutate_bytes(content: bytes, rng: Random) -> bytes:
    """Flip, cut, insert, repeat or remove bytes, once to a few times."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(7)
        if kind == 0 and data:
            data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            data[at:at] = rng.randbytes(rng.choice([1, 4, 100]))
        elif kind == 3:
            del data[at : at + rng.choice([1, 8, 64])]
        elif kind == 4:
            data[at:at] = data[at : at + 50]
        elif kind == 5 and data:
            data[min(at, len(data) - 1)] = rng.choice([0, 0x0A, 0x0D, 0x22, 0x7F, 0xFF])
        elif kind == 6:
            data[at : at + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\xef\xbb\xbf", b'",;\n'])
    return bytes(data)


def mutate_table(rows: Rows, rng: Random) -> Rows:
    """Change cells, columns, headers or rows of a table whose first row is the header."""
    rows = copy.deepcopy(rows)
    for _ in range(rng.choice([1, 1, 2, 4])):
        width = len(rows[0])
        if len(rows) < 2 or not width:
            return rows
        row, column = rng.randrange(1, len(rows)), rng.randrange(width)
        other = rng.randrange(width)
        kind = rng.randrange(11)
        if kind <= 1:
            if rows[row]:
                rows[row][column % len(rows[row])] = rng.choice(ODD)
        elif kind == 2:
            value = rng.choice(ODD)
            rows = [rows[0], *([*r[:column], value, *r[column + 1 :]] for r in rows[1:])]
        elif kind == 3:
            rows = [[*r[:column], *r[column + 1 :]] for r in rows]
        elif kind == 4:
            rows = [[*r, r[min(column, len(r) - 1)]] for r in rows if r]
        elif kind == 5:
            rows[0][column], rows[0][other] = rows[0][other], rows[0][column]
        elif kind == 6:
            rows[0][column] = rng.choice([*ODD, rows[0][other]])
        elif kind == 7:
            del rows[rng.randrange(1, len(rows)) :]
        elif kind == 8:
            rows.append(list(rows[row]))
        elif kind == 9:
            rows[row] = rows[row][:column]
        else:
            for r in rows[1:]:
                if rng.random() < 0.3 and column < len(r):
                    r[column] = rng.choice(ODD)
    return rows


def mutate_tree(tree: Any, rng: Random) -> Any:
    """Replace, remove or rename values of nested dictionaries and lists."""
    tree = json.loads(json.dumps(tree))
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        places = [(node, key) for node in _nodes(tree) for key in _keys(node)]
        if not places:
            return rng.choice(VALUES)
        node, key = rng.choice(places)
        kind = rng.randrange(8)
        if kind <= 3:
            node[key] = copy.deepcopy(rng.choice(VALUES))
        elif kind == 4:
            del node[key]
        elif kind == 5 and isinstance(node, dict):
            node[rng.choice(["x", f"{key} ", "", "theta", "\x07"])] = node.pop(key)
        elif kind == 6:
            other, name = rng.choice(places)
            if name in _keys(other):
                node[key] = json.loads(json.dumps(other[name]))
        else:
            deep: Any = 1
            for _ in range(rng.choice([3, 30, 400])):
                deep = [deep]
            node[key] = deep
    return tree


def _nodes(tree: Any) -> list[Any]:
    """All dictionaries and lists of a tree, however deep it is."""
    left, nodes = [tree], []
    while left:
        node = left.pop()
        if isinstance(node, dict | list):
            nodes.append(node)
            left += node.values() if isinstance(node, dict) else node
    return nodes


def _keys(node: Any) -> list[Any]:
    return list(node) if isinstance(node, dict) else list(range(len(node)))


def table_bytes(rows: Rows, kind: str, rng: Random) -> bytes:
    """A table as a file: csv, tsv, semicolon, jsonl or parquet with columns of drawn types."""
    import csv

    if kind in ("csv", "tsv", "semicolon"):
        stream = io.StringIO(newline="")
        separator = {"csv": ",", "tsv": "\t", "semicolon": ";"}[kind]
        csv.writer(stream, delimiter=separator).writerows(rows)
        encoding = rng.choice(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "latin-1"])
        return stream.getvalue().encode(encoding, "replace")
    records = [dict(zip(rows[0], row, strict=False)) for row in rows[1:]]
    if kind == "jsonl":
        return "\n".join(json.dumps(record) for record in records).encode()
    frame = pd.DataFrame(records)
    for name in list(frame):
        drawn = rng.random()
        if drawn < 0.5:
            numbers = pd.to_numeric(frame[name], errors="coerce")
            frame[name] = numbers if numbers.notna().all() else frame[name]
        elif drawn < 0.58:
            frame[name] = frame[name].astype("category")
        elif drawn < 0.64:
            frame[name] = [str(v).encode("utf-8", "replace") for v in frame[name]]
        elif drawn < 0.68:
            frame[name] = [[v] for v in frame[name]]
    stream = io.BytesIO()
    frame.to_parquet(stream, index=False)
    return stream.getvalue()

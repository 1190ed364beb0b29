"""Labels of table cells, by which a phone shows each row of a table as a list."""

import re

_TABLE = re.compile(r"<table\b.*?</table>", re.DOTALL)
_HEAD = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
_ROW = re.compile(r"<tr\b.*?</tr>", re.DOTALL)
_CELL = re.compile(r"<(td|th)\b")
_SVG = re.compile(r"<svg\b.*?</svg>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


def label_cells(page: str) -> str:
    """Give every cell of a table's body the text of its column's heading as `data-label`.

    The page is one of our templates: all texts in it are escaped, so that "<" begins a tag.
    """
    return _TABLE.sub(lambda table: _labelled(table[0]), page)


def _labelled(table: str) -> str:
    head, separator, body = table.partition("<tbody>")
    labels = [
        " ".join(_TAG.sub(" ", _SVG.sub("", text)).split()).replace('"', "&quot;")
        for text in _HEAD.findall(head)
    ]
    return head + separator + _ROW.sub(lambda row: _label_row(row[0], labels), body)


def _label_row(row: str, labels: list[str]) -> str:
    columns = iter(["", *labels[1:]])  # the first cell is the name of its row

    def label(cell: re.Match[str]) -> str:
        text = next(columns, "")
        return f'{cell[0]} data-label="{text}"' if text else cell[0]

    return _CELL.sub(label, row)

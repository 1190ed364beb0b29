"""The tutorials work as they are written: a reader's commands, from nothing to a result."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from pages import blocks, follow, is_printed

ROOT = Path(__file__).parents[2]
TUTORIALS = sorted(ROOT.glob("docs/tutorials/*.md"))


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial(page, tmp_path):
    # What a clone of the project has.
    for name in ("configs", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # A terminal of this width printed what the pages show.
    changes = {"PATH": path, "COLUMNS": "120", "OMP_NUM_THREADS": "1"}
    assert any(block.kind == "run" for block in blocks(page))
    follow(page, tmp_path, os.environ | changes)


def page_of(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    return page


GOOD = """
<!-- file names.txt -->
```text
one
```

Text.

<!-- run -->
```sh
cat names.txt; echo 2
```

<!-- prints -->
```text
o[...]e   2
```
"""


def test_marked_blocks_are_followed(tmp_path):
    follow(page_of(tmp_path, GOOD), tmp_path, os.environ)
    assert (tmp_path / "names.txt").read_text() == "one\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("o[...]e", "three", "three"),
        ("names.txt; echo", "names.text; echo", "names.text: No such file"),
        ("echo 2", "echo 2; false; true", "false; true"),
    ],
)
def test_a_page_that_is_wrong_fails(tmp_path, old, new, message):
    with pytest.raises(AssertionError, match=message):
        follow(page_of(tmp_path, GOOD.replace(old, new)), tmp_path, os.environ)


@pytest.mark.parametrize("mark", ["<!-- rum -->", "<!-- run -->\n\ntext\n"])
def test_a_mark_without_effect_is_refused(tmp_path, mark):
    with pytest.raises(ValueError, match="no mark of a fenced block"):
        blocks(page_of(tmp_path, GOOD.replace("<!-- run -->", mark)))


def test_prints_is_about_words_in_order():
    assert is_printed("a [...] c", "x a\n b  c y")
    assert not is_printed("c [...] a", "a b c")

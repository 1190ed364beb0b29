"""Runs the code of a page: the blocks that a comment marks, which readers do not see.

<!-- file NAME -->   the block is the content of a file
<!-- run -->         the block is run by bash, or by Python if it is Python
<!-- prints -->      the block is what was run last printed, where [...] stands for any text
"""

import re
import subprocess
import sys
from typing import NamedTuple

BLOCK = re.compile(r"^<!-- (\w+)(?: (\S+))? -->\n+```(\w*)\n(.*?)^```$", re.M | re.S)
KINDS = {"file", "run", "prints"}


class Block(NamedTuple):
    """A marked block: its kind, the name of a file, the language, and the text."""

    kind: str
    name: str
    language: str
    text: str


def blocks(page):
    """The marked blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    marked = [Block(*match) for match in BLOCK.findall(text)]
    if len(marked) != text.count("<!-- ") or not {block.kind for block in marked} <= KINDS:
        raise ValueError(f"{page}: a comment is no mark of a fenced block below it")
    return marked


def is_printed(expected, printed):
    """Whether a text is part of what was printed, but for lengths of blanks and [...]."""
    words = [" ".join(part.split()) for part in expected.split("[...]")]
    return re.search(".*".join(map(re.escape, words)), " ".join(printed.split())) is not None


def run(block, folder, environment):
    """Run a block in a folder; returns what it prints, or fails with that."""
    python = block.language == "python"
    command = [sys.executable, "-"] if python else ["bash", "-eu", "-o", "pipefail"]
    done = subprocess.run(
        command,
        input=block.text,
        cwd=folder,
        env=environment,
        text=True,
        timeout=600,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, f"{block.text}\n{done.stdout}"
    return done.stdout


def follow(page, folder, environment):
    """Do what a page says, and compare what it prints with what the page shows."""
    printed = ""
    for block in blocks(page):
        if block.kind == "file":
            (folder / block.name).write_text(block.text, encoding="utf-8")
        elif block.kind == "run":
            printed = run(block, folder, environment)
        else:
            assert is_printed(block.text, printed), f"{block.text}\nis not in\n{printed}"

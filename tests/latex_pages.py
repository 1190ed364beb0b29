"""Pages that pdflatex makes of tables."""

import re
import shutil
import subprocess

import pytest

from fairexit.latex import PACKAGES

needs_pdflatex = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="there is no pdflatex here"
)


def compiled(folder, names):
    """The log of pdflatex for the tables of a folder."""
    lines = [r"\documentclass{article}", r"\usepackage[margin=2.5cm]{geometry}"]
    lines += [rf"\usepackage{{{PACKAGES}}}", r"\begin{document}"]
    for name in names:
        label = re.search(r"\\label{(.*?)}", (folder / f"{name}.tex").read_text())[1]
        lines.append(rf"\input{{{name}}}\clearpage\ref{{{label}}}")
    (folder / "all.tex").write_text("\n".join([*lines, r"\end{document}"]))
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    for _ in range(3):  # widths and references need several runs
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout[-2000:]
    return (folder / "all.log").read_text(errors="replace")


def overfull(log):
    """By how many points each line that is too wide exceeds its page or column."""
    return [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]

"""Tables in LaTeX: their text, and whether pdflatex makes pages of them."""

import re

from fairexit.latex import PACKAGES, WIDEST, latex
from fairexit.tables import Table
from latex_pages import compiled, needs_pdflatex, overfull

NUMBER = "0.500 ± 0.100 (0.400)"
LONG_TEXT = "a text that is too long for a column of its own width, so that it is wrapped"


def test_a_table_in_latex():
    rows = [["A_1", "f", "0.5 ± 0.1 *"], ["", "m", "5 % *"], ["B", "f", "-0.2"]]
    table = Table("Title & more", ["Method", "", "F1 ↑"], rows, 2)
    body = latex(table, "tab:a", ["**Bold** is\nbest.", "Second note."]).splitlines()
    assert rf"% Needs \usepackage{{{PACKAGES}}}." in body
    assert r"\caption{Title \& more}\label{tab:a} \\" in body
    assert r"\caption[]{Title \& more (continued)} \\" in body
    assert r"\begin{xltabular}{\linewidth}{@{}>{\raggedright\arraybackslash}Xlr@{}}" in body
    assert body.count(r"Method &  & F1 $\uparrow$ \\") == 2, "above, and on each page that follows"
    start = body.index(r"A\_1 & f & \textbf{0.5 $\pm$ 0.1} \\*")
    assert body[start + 1 : start + 5] == [
        r" & m & \textbf{5 \%} \\",
        r"\midrule",
        r"B & f & $-$0.2 \\",
        r"\bottomrule \insertTableNotes",
    ]
    notes = body[body.index(r"\begin{TableNotes}") :]
    assert notes[2:5] == [r"\item Bold is best.", r"\item Second note.", r"\end{TableNotes}"]
    assert r"\begin{landscape}" not in body


def test_a_table_without_notes_or_groups_has_no_place_for_them():
    text = latex(Table("t", ["a", "b"], [["x", "1"], ["y", "2"]]), "tab:t")
    assert "TableNotes" not in text
    assert text.count(r"\midrule") == 2, "under the headings"


def test_rows_of_one_first_cell_are_a_group():
    rows = [["1", "a"], ["1", "b"], ["2", "c"]]
    lines = latex(Table("t", ["Claim", "x"], rows, 2), "tab:t").splitlines()
    start = lines.index(r"1 & a \\*")
    assert lines[start + 1 : start + 4] == [r"1 & b \\", r"\midrule", r"2 & c \\"]


def test_long_texts_are_wrapped_and_long_headings_stacked():
    table = Table("t", ["Text", "A long heading ↓"], [[LONG_TEXT, "0.1"]])
    text = latex(table, "tab:t")
    assert r"{@{}>{\raggedright\arraybackslash}Xr@{}}" in text
    assert r"Text & \makecell[b]{A long \\ heading $\downarrow$}" in text


def test_in_a_table_wider_than_a_page_brackets_stand_under_their_number():
    few = latex(Table("t", list("abc"), [["x", NUMBER, f"{NUMBER} *"]]), "tab:t")
    assert r"0.500 $\pm$ 0.100 (0.400)" in few
    assert "landscape" not in few
    width = WIDEST // len(NUMBER) + 2
    rows = [["x (y)", *[NUMBER] * width], ["", *[NUMBER] * (width - 1), f"{NUMBER} *"]]
    text = latex(Table("t", ["a"] * (width + 1), rows), "tab:t")
    assert r"\begin{landscape}" in text
    assert r"\makecell[tl]{x \\ (y)}" in text
    assert r"\textbf{\makecell[tr]{0.500 $\pm$ 0.100 \\ (0.400)}} \\" in text
    # Columns with empty cells have place for a second line; the others need none of it then.
    rows[1][3:] = [""] * (width - 2)
    text = latex(Table("t", ["a"] * (width + 1), rows), "tab:t")
    assert text.count("0.500 $\\pm$ 0.100 (0.400)") == 4
    assert text.count(r"\\ (0.400)}") == width - 2


@needs_pdflatex
def test_tables_compile_and_fit_their_pages(tmp_path):
    odd = [r"50% a_b \x ~ ^ {} # $ & < > |", "[in brackets]", "* a star", "ü"]
    tables = {
        "odd": Table("Odd " + odd[0], ["a", "b"], [[text, "0.1"] for text in odd]),
        "wide": Table("Wide", ["Row ↑", *["F1 ↓"] * 8], [["x", *[f"{NUMBER} *"] * 8]] * 2),
        "long": Table("Long", ["Claim", "Text", "a"], [["1", LONG_TEXT, "-1.0"]] * 200, 2),
        "empty": Table("Empty", ["a", "b"], []),
    }
    for name, table in tables.items():
        (tmp_path / f"{name}.tex").write_text(latex(table, f"tab:{name}", [LONG_TEXT]))
    log = compiled(tmp_path, list(tables))
    assert max(overfull(log), default=0) < 2
    assert int(re.search(r"\((\d+) pages", log)[1]) > len(tables)

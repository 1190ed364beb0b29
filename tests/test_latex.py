"""Tables in LaTeX."""

from fairexit.tables import Table


def test_a_table_in_latex():
    rows = [["A_1", "f", "0.5 ± 0.1 *"], ["", "m", "5 % *"], ["B", "f", "0.2"]]
    lines = Table("Title & more", ["Method", "", "F1 ↑"], rows, 2).to_latex(
        "tab:a", "**Bold** is\nbest."
    )
    body = lines.splitlines()
    assert r"\caption{Title \& more}" in body
    assert r"\label{tab:a}" in body
    assert r"\begin{tabular}{llr}" in body
    assert r"Method &  & F1 $\uparrow$ \\" in body
    start = body.index(r"A\_1 & f & \textbf{0.5 $\pm$ 0.1} \\")
    assert body[start + 1 : start + 4] == [
        r" & m & \textbf{5 \%} \\",
        r"\midrule",
        r"B & f & 0.2 \\",
    ]
    assert r"\item Bold is best." in body
    assert [line for line in body if line.startswith(r"\begin")] == [
        r"\begin{table}", r"\begin{adjustbox}{max width=\linewidth}", r"\begin{threeparttable}",
        r"\begin{tabular}{llr}", r"\begin{tablenotes}",
    ]  # fmt: skip


def test_a_table_without_notes_or_groups_has_no_place_for_them():
    text = Table("t", ["a", "b"], [["x", "1"], ["y", "2"]]).to_latex("tab:t")
    assert "tablenotes" not in text
    assert text.count(r"\midrule") == 1

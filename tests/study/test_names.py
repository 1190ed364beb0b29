"""A row has one name in all results of a study, and the tables are pages."""

import csv
import re

import pytest
import yaml
from fake_runs import write_run

from fairexit.study import job as jobs
from fairexit.study.folder import Folder
from fairexit.study.load import load_study
from fairexit.study.results import write_results
from latex_pages import compiled, needs_pdflatex, overfull

PLAIN = {"ERM": {}, "FairPrune": {"prune": {"steps": 1}}, "HSIC": {"method.name": "hsic"}}
ROWS = PLAIN | {f"ME-{name}": {"model.exits": "all", **row} for name, row in PLAIN.items()}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two seeds of rows that the paper calls otherwise; the folder of the study."""
    root = tmp_path_factory.mktemp("study")
    (root / "data").mkdir()
    tree = {
        "base": {"train": {"epochs": 1}, "model": {"exits": "none"}},
        "datasets": {"isic_sex": {"data.path": str(root / "data")}},
        "rows": ROWS | {"ME-wide_row": {"model.exits": [1, 2]}},
        "seeds": [0, 1],
        "policy": {"grid": [0.5, 0.9]},
    }
    (root / "study.yaml").write_text(yaml.safe_dump(tree))
    grid, folder = load_study(root / "study.yaml"), Folder(root / "s")
    folder.open()
    for run in grid.runs:
        # Few classes and able networks, so that no row is left out.
        write_run(folder.run(run.name).path, run.config.to_dict(), classes=3, skill=4.0)
        job = folder.job(run, grid)
        jobs.evaluate_run(job)
        folder.set_status(run.name, choice=job.choice)
    write_results(grid, folder)
    return folder.path


def column(file, *names):
    """All values of columns of a CSV file."""
    with file.open() as lines:
        return {line[name] for line in csv.DictReader(lines) for name in names} - {""}


def test_a_row_has_one_name_in_all_results(study):
    tables, rows = study / "tables" / "isic_sex", {*ROWS, "ME-wide_row"}
    for file in (study / "results.csv", study / "exits.csv", tables / "chance.csv"):
        assert column(file, "row") == rows, file.name
    assert column(tables / "against.csv", "row", "against") == rows
    by_table = [column(tables / f"{name}.csv", "row") for name in ("table1", "table3", "others")]
    assert set().union(*by_table) == rows
    compared = " ".join(column(tables / "verdicts.csv", "comparison"))
    names = set(re.findall(r"[\w-]*(?:ERM|FairPrune|HSIC|ResNet18)", compared))
    assert names == set(ROWS)
    assert {file.stem for file in tables.glob("figure2?-*.png")} == {
        "figure2a-ME-FairPrune",
        "figure2b-ME-FairPrune",
    }


def test_the_papers_names_stand_only_beside_its_numbers(study):
    tables = study / "tables" / "isic_sex"
    assert column(tables / "table1.csv", "printed_as") == {"ResNet18", "FairPrune", "HSIC",
                                                           "ME-FairPrune"}  # fmt: skip
    for file in [*tables.glob("*.md"), *tables.glob("*.tex"), *tables.glob("*.csv")]:
        text = file.read_text().replace("paper: ME-ResNet18", "").replace("paper: ResNet18", "")
        is_printed = file.stem in ("table1", "table3")
        assert ("ResNet18" in text) == (is_printed and file.suffix == ".csv"), file.name
        if file.suffix != ".csv":
            assert is_printed == (": the printed number." in text), file.name
    assert "ERM (paper: ResNet18)" in (tables / "table1.md").read_text()


TABLES = ("table1", "table3", "others", "against", "claims", "primary", "secondary", "chance")


def test_every_table_is_latex_with_caption_label_notes_and_arrows(study):
    tables = study / "tables" / "isic_sex"
    assert {file.stem for file in tables.glob("*.tex")} == set(TABLES)
    for name in TABLES:
        text = (tables / f"{name}.tex").read_text()
        assert r"\caption{isic\_sex: " in text, name
        assert rf"\label{{tab:isic_sex-{name}}}" in text
        assert "Each method: 1 epochs" in text[text.index(r"\begin{TableNotes}") :]
        assert r"$\uparrow$" in text or name == "chance"
        assert r"$\downarrow$" in text
        assert "* marks" not in text
        assert ("In bold" in text) == (r"\textbf" in text) or name == "others"


@needs_pdflatex
def test_the_tables_of_a_study_are_pages(study, tmp_path):
    for file in (study / "tables" / "isic_sex").glob("*.tex"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    log = compiled(tmp_path, TABLES)
    assert max(overfull(log), default=0) < 2
    assert "undefined" not in log

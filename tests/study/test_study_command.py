"""fairexit study and fairexit tune as a user types them, with real trainings."""

import pandas as pd
import yaml

from conftest import settings


def base(tiny):
    tree = settings(tiny.path, train__epochs=1, model__exits=[1, 3]).to_dict()
    del tree["prune"]
    return tree


def test_a_study_from_yaml_to_verdicts(command, tiny, tmp_path):
    tree = {
        "base": base(tiny),
        "datasets": {"synthetic": {}},
        "rows": {"ME-ERM": {}, "ME-FairPrune": {"prune": {"method": "magnitude", "steps": 1}}},
        "policy": {"grid": [0.3, 0.5]},
        "entangle": True,
    }
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(tree))
    words = ("study", tmp_path / "s.yaml", "--out", tmp_path / "s")
    status, printed, _ = command(*words, "--plan", "--calibrate")
    assert status == 0
    last = printed.splitlines()[-1]
    assert last.startswith("0 of 2 runs done, 2 waiting; ")
    assert "time unknown for 1 run to prune or refit until one of the row is done" in last
    assert "--calibrate" not in last, "it was used"
    assert "synthetic-ME-FairPrune-seed0" in printed
    assert "synthetic: one test split; data in folds would test every image" in printed
    assert not (tmp_path / "s").exists()

    status, printed, err = command(*words, "--threads", 1)
    assert (status, "failed" in printed) == (0, False), err
    for word in ("ME-FairPrune", "One seed. ", "* marks: the best mean", "Verdict", "not decided"):
        assert word in printed
    assert "synthetic-ME-FairPrune-seed0: done (2 of 2 runs" in err
    out = tmp_path / "s" / "tables" / "synthetic"
    names = {"methods.md", "methods.tex", "methods.csv", "figure2a-ME-FairPrune.png"}
    names |= {"figure2b-ME-FairPrune.svg"}
    names |= {"claims.csv", "chance.csv", "verdicts.md", "verdicts.csv", "figureS1-ME-ERM.svg"}
    assert names <= {file.name for file in out.iterdir()}
    page = (out / "verdicts.md").read_text()
    for text in (
        "ME-FairPrune at theta 0.999",
        "Smallest shown",
        "## Primary comparisons and conditions",
        "## Secondary comparisons",
        "Eopp1 by images",
    ):
        assert text in page
    claims = pd.read_csv(out / "claims.csv").set_index("claim")
    assert set(claims["Verdict"]) <= {"not decided", "not run"}, "there is one seed"
    comparisons = pd.read_csv(out / "verdicts.csv")
    assert set(comparisons["role"]) == {"primary", "condition", "secondary"}
    assert comparisons["p_value"].isna().all(), "there is one seed"
    assert {"eopp1", "eopp1_weighted"} <= set(pd.read_csv(out / "chance.csv")["metric"])
    assert "eopp1_weighted_low" in pd.read_csv(out / "against.csv").columns
    assert "1 of 1" not in printed
    header = (out / "methods.csv").read_text().splitlines()[0].split(",")
    assert {"eopp1", "eopp1_weighted"} <= set(header)
    assert "| Eopp1 by images ↓ |" in (out / "methods.md").read_text()
    results = (tmp_path / "s" / "results.csv").read_text().splitlines()[0].split(",")
    assert {"eopp1", "eopp1_weighted", "eodd", "eodd_weighted"} <= set(results)
    tex = (out / "methods.tex").read_text()
    assert tex.count(r"\begin{xltabular}") == tex.count(r"\end{xltabular}") == 1
    assert "in nats" in page[page.index("## Entanglement by depth") :]
    assert r"skin\_tone" in tex

    for row, message in (
        ("ME-FairPrun", "--figure-row is 'ME-FairPrun', which is not a row of the study; did you"),
        ("ERM", "which has a single exit, so that it has no figure over theta"),
    ):
        tree["rows"]["ERM"] = {"model": {"exits": "none"}}
        (tmp_path / "t.yaml").write_text(yaml.safe_dump(tree))
        status, _, err = command(
            "study", tmp_path / "t.yaml", "--out", tmp_path / "s", "--figure-row", row
        )
        assert (status, message in err) == (2, True), err

    before = {f: f.read_bytes() for f in (tmp_path / "s").rglob("*.*") if "tables" in f.parts}
    assert command(*words, "--collect")[0] == 0
    assert before == {f: f.read_bytes() for f in before}
    status, printed, _ = command(*words, "--plan")
    assert "2 of 2 runs done, 0 waiting; 0 s left" in printed


def test_a_bad_study_is_one_line(command, tmp_path):
    (tmp_path / "s.yaml").write_text("base: {}\nrows: {}\nrows: {}\n")
    status, _, err = command("study", tmp_path / "s.yaml", "--out", tmp_path / "s")
    assert status == 2
    assert "two entries of the section at line 1 are called 'rows'" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_a_study_tunes_its_rows_with_the_same_number_of_trials(command, tiny, tmp_path):
    tree = {
        "base": base(tiny),
        "datasets": {"synthetic": {}},
        "rows": {"ERM": {}, "HSIC": {"method.name": "hsic"}},
        "tune": {"trials": 2, "rule": "f1"},
        "policy": {"grid": [0.5]},
    }
    file, out = tmp_path / "s.yaml", tmp_path / "s"
    file.write_text(yaml.safe_dump(tree))
    words = ("study", file, "--out", out)
    status, printed, _ = command(*words, "--plan")
    assert status == 0
    assert "before them, 2 rows are tuned, with 2 trials each" in printed
    assert not out.exists()
    assert command(*words, "--collect")[0] == 2
    status, printed, err = command(*words, "--threads", 1)
    assert status == 0, err
    best = yaml.safe_load((out / "tuning" / "synthetic" / "HSIC" / "best.yaml").read_text())
    assert best["trials"] == 2
    run = yaml.safe_load((out / "runs" / "synthetic-HSIC-seed0" / "config.yaml").read_text())
    assert run["method"]["weight"] == best["settings"]["method.weight"]
    status, printed, err = command(*words)
    assert (status, "is tuned" in err) == (0, False), "nothing is searched twice"
    assert "tuned" not in command(*words, "--plan")[1]

    tree["base"]["train"]["lr"] = 0.005
    file.write_text(yaml.safe_dump(tree))
    status, _, err = command(*words)
    assert status == 2
    assert "holds a search with other settings; remove" in err
    assert err.count("\n") == 1


def test_a_section_tune_that_does_not_fit_is_one_line(command, tiny, tmp_path):
    for section, message in (
        ({"trials": 0}, "tune.trials is 0; it must be at least 1"),
        ({"rule": "eod"}, "tune.rule is 'eod'; did you mean 'eodd'"),
        ({"number": 3}, "tune.number"),
    ):
        tree = {"base": base(tiny), "datasets": {"d": {}}, "rows": {"A": {}}, "tune": section}
        (tmp_path / "s.yaml").write_text(yaml.safe_dump(tree))
        status, _, err = command("study", tmp_path / "s.yaml", "--out", tmp_path / "s")
        assert (status, message in err) == (2, True), err


def test_tune_finds_settings_on_validation(command, tiny, tmp_path):
    tree = base(tiny) | {"prune": {"method": "magnitude", "steps": 1, "stop": False}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(tree))
    words = ("tune", tmp_path / "c.yaml", "--out", tmp_path / "t", "--trials", 2)
    status, printed, err = command(*words, "--search", "prune.ratio=0.1:0.6")
    assert status == 0, err
    assert "Trials on validation" in printed
    best = yaml.safe_load((tmp_path / "t" / "best.yaml").read_text())
    assert best["trials"] == 2
    assert 0.1 <= best["settings"]["prune.ratio"] <= 0.6
    assert (tmp_path / "t" / "unpruned" / "config.json").is_file()
    assert not (tmp_path / "t" / "trial0" / "predictions" / "test.parquet").exists()
    status, _, err = command(*words, "--search", "prune.ratio=0.6:0.1")
    assert (status, "LOW below HIGH" in err) == (2, True)

"""One table under the options of a table: evaluate, audit, report and Python read it alike."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml

import fairexit

FEW = ("--resamples", 100, "--score-resamples", 100, "--permutations", 100)


def clinic(n=240):
    """A table as clinics have it: other names, an age in years, a skin type, patients."""
    rng = np.random.default_rng(3)
    malignant = rng.random(n) < 0.4
    score = np.clip(0.5 * malignant + rng.normal(0.25, 0.2, n), 0.001, 0.999)
    return pd.DataFrame(
        {
            "dx": np.where(malignant, "1", "0"),
            "score": score.round(4),
            "alter": rng.integers(18, 90, n),
            "skin": rng.integers(1, 7, n),
            "patient": [f"P{i // 2}" for i in range(n)],
        }
    )


OPTIONS = (
    "--label", "dx", "--score", "score", "--positive", "1", "--cut", "0.4",
    "--bins", "alter=30,60", "--merge", "skin=1,2,3:light;4,5,6:dark", "--cluster", "patient",
)  # fmt: skip


@pytest.fixture
def file(tmp_path):
    clinic().to_csv(tmp_path / "clinic.csv", index=False)
    return tmp_path / "clinic.csv"


def numbers(command, file, *words):
    status, out, err = command("evaluate", file, *words, "--json")
    assert status == 0, err
    return json.loads(out)


def due(group, cut=0.4):
    """Recall of the positive class by group, counted by hand."""
    frame = clinic().assign(light=lambda f: np.where(f["skin"] <= 3, "light", "dark"))
    frame["old"] = pd.cut(frame["alter"], [0, 29, 59, 200], labels=["<30", "30-59", "60+"])
    sick = frame[frame["dx"] == "1"]
    return (sick["score"] >= cut).groupby(sick[group], observed=True).mean().to_dict()


def test_a_score_ranges_and_merges(command, file):
    by_tone = numbers(command, file, *OPTIONS, "--group", "skin")
    assert set(by_tone["groups"]) == {"light", "dark"}
    by_age = numbers(command, file, *OPTIONS, "--group", "alter")
    assert set(by_age["groups"]) == {"<30", "30-59", "60+"}
    audit = command(
        "audit", file, *OPTIONS, "--group", "skin", "--group", "alter", "--json", "-", *FEW
    )
    assert audit[0] == 0, audit[2]
    found = json.loads(audit[1])
    for attribute, column in zip(found["attributes"], ("light", "old"), strict=True):
        rates = next(c for c in attribute["classes"] if c["name"] == "1" and c["rate"] == "tpr")
        found_rates = {name: rate["value"] for name, rate in rates["rates"].items()}
        assert found_rates == pytest.approx(due(column))


def test_the_columns_in_a_file(command, file, tmp_path):
    keys = {
        "label": "dx",
        "score": "score",
        "positive": "1",
        "cut": 0.4,
        "merge": {"skin": {str(k): "light" if k < 4 else "dark" for k in range(1, 7)}},
    }
    del keys["positive"]
    (tmp_path / "columns.yaml").write_text(yaml.safe_dump(keys))
    words = ("--columns", tmp_path / "columns.yaml", "--positive", "1", "--group", "skin")
    without_age = (*OPTIONS[:8], *OPTIONS[10:12], "--group", "skin")
    assert numbers(command, file, *words) == numbers(command, file, *without_age)
    other = numbers(command, file, *words, "--cut", "0.9")
    assert other["accuracy"] != numbers(command, file, *words)["accuracy"]
    (tmp_path / "columns.yaml").write_text("lable: dx\n")
    status, _, err = command("evaluate", file, *words)
    assert (status, err.count("\n")) == (2, 1)
    assert "unknown key 'lable'; did you mean 'label'?" in err


def test_a_report_takes_them_too(command, file, tmp_path):
    status, _, err = command(
        "report", file, *OPTIONS, "--group", "skin", "--out", tmp_path / "r.html"
    )
    assert status == 0, err
    assert "light" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--score", "score"), "--score needs --positive"),
        (("--bins", "alter"), "--bins is 'alter'; write it as in age=30,60"),
        (("--merge", "skin=1,2"), "--merge is 'skin=1,2'; write it as in skin="),
        (("--prob", "x"), "--prob is 'x'; write it as in mel="),
        (("--label", "dx", "--prediction", "score"), "give it as --score together with --positive"),
        (
            ("--label", "dx", "--score", "score", "--positive", "1", "--group", "alter"),
            "cut it into ranges with --bins",
        ),
    ],
)
@pytest.mark.parametrize("name", ["evaluate", "audit"])
def test_what_does_not_fit_is_one_line(command, file, name, words, message):
    group = () if "--group" in words else ("--group", "skin")
    status, _, err = command(name, file, *words, *group)
    assert status == 2
    assert message in err.splitlines()[-1]


def test_notes_are_said(command, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("label,prediction,sex\nmel,MEL,f\nnv,nv,Female\nmel,mel,F\nnv,nv,female\n")
    status, _, err = command("evaluate", path, "--group", "sex")
    assert status == 0
    assert "'MEL' is read as 'mel'" in err
    status, out, _ = command("audit", path, "--group", "sex", *FEW)
    assert status == 0
    assert "'MEL' is read as 'mel'" in out


class OtherFrame:
    """A frame of another library, as of Hugging Face, that can become one of pandas."""

    def __init__(self, frame):
        self.frame, self.column_names = frame, list(frame)

    def to_pandas(self):
        return self.frame


FRAMES = {"pandas": lambda frame: frame, "arrow": pa.Table.from_pandas, "other": OtherFrame}


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_of_every_kind(kind, file):
    from fairexit.auditing.settings import AuditSettings

    few = AuditSettings(n_resamples=100, n_score_resamples=100, n_permutations=100)
    report = fairexit.audit(
        FRAMES[kind](clinic()),
        label="dx",
        score="score",
        positive=1,
        groups="skin",
        merge={"skin": {str(k): "light" if k < 4 else "dark" for k in range(1, 7)}},
        settings=few,
    )
    assert report.attributes[0].groups == ("light", "dark")
    assert report.attributes[0].clinical[0].positive == "1"


def test_arrays_of_every_kind():
    from fairexit.auditing.settings import AuditSettings

    few = AuditSettings(n_resamples=100, n_score_resamples=100, n_permutations=100)
    frame = clinic()
    truth = frame["dx"] == "1"
    expected = None
    light = frame["skin"] <= 3
    for label, score, group in (
        (truth.to_numpy(), frame["score"].to_numpy(), light),
        (map(bool, truth), iter(frame["score"].tolist()), map(bool, light)),
        (pa.array(truth), pa.array(frame["score"]), pd.Categorical(light)),
    ):
        report = fairexit.audit(
            label=label, score=score, positive=1, groups={"light": group}, settings=few
        )
        found = report.attributes[0].counts.tolist()
        expected = expected or found
        assert found == expected


def test_python_and_the_command_agree(command, file):
    by_command = numbers(command, file, *OPTIONS, "--group", "skin")
    merge = {"skin": {str(k): "light" if k < 4 else "dark" for k in range(1, 7)}}
    by_call = fairexit.evaluate(
        file, group="skin", label="dx", score="score", positive="1", cut=0.4, merge=merge
    )
    assert by_call.evaluation.metrics["eopp1"] == by_command["eopp1"]
    with pytest.raises(ValueError, match="unknown option 'scores'; did you mean 'score'"):
        fairexit.evaluate(file, scores="score")

"""`fairexit audit` as a user types it."""

import base64
import datetime
import io
import json
import re
import subprocess
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from drawn_predictions import draw
from fairexit.metrics.record import METRICS
from fairexit.predictions.files import write_predictions

FEW = ("--resamples", 100, "--score-resamples", 100, "--permutations", 100)


@pytest.fixture
def command(command):
    """Run an audit; as `command` of the root."""
    return partial(command, "audit")


@pytest.fixture
def file(tmp_path):
    write_predictions(draw(n=300, gap=0.3), tmp_path / "p.csv")
    return tmp_path / "p.csv"


def test_a_file(command, file):
    status, out, err = command(file, "--group", "sex", "--positive", "mel", *FEW)
    assert status == 0
    assert err == f"reading {file}\n"
    for words in ("Summary", "What to do next", "Gaps by sex", "mel or not", "Limits"):
        assert words in out


def test_every_form_of_the_report(command, file, tmp_path):
    forms = {"--out": "r.html", "--markdown": "r.md", "--json": "r.json", "--card": "card.md"}
    words = [word for flag, name in forms.items() for word in (flag, tmp_path / name)]
    status, out, _ = command(file, "--group", "sex", *words, *FEW)
    assert status == 0
    for name in forms.values():
        assert f"written: {tmp_path / name}" in out
    assert "Gaps by sex" not in out
    found = json.loads((tmp_path / "r.json").read_text())
    summary = found["summary"][0]
    assert summary in (tmp_path / "r.md").read_text().replace("\\", "")
    status, printed, _ = command(file, "--group", "sex", "--json", "-", *FEW)
    assert json.loads(printed) == found


def test_both_forms_of_a_gap_and_the_combined_test_stand_everywhere(command, file, tmp_path):
    status, printed, _ = command(file, "--group", "sex", "--json", "-", *FEW)
    assert status == 0
    results = json.loads(printed)
    gaps = {gap["metric"]: gap for gap in results["attributes"][0]["gaps"]}
    assert {"eopp1", "eopp1_weighted", "eodd", "eodd_weighted"} <= gaps.keys()
    counts = np.array(results["attributes"][0]["counts"])
    for name, gap in gaps.items():
        assert gap["estimate"]["value"] == pytest.approx(float(METRICS[name](counts)))
        assert (gap["p_any"] is not None) == (name in ("eopp1", "eodd"))
    assert 0 < gaps["eopp1"]["p_any"] <= 0.05  # a gap of 0.3 in every class
    plain, weighted = (f"{gaps[n]['estimate']['value']:.3f}" for n in ("eopp1", "eopp1_weighted"))
    command(file, "--group", "sex", "--out", tmp_path / "r.html", "--card", tmp_path / "c.md", *FEW)
    page, card = (tmp_path / "r.html").read_text(), (tmp_path / "c.md").read_text()
    for text in (page, card):
        for words in ("Eopp1 by images", "Eodd by images", "any class", plain, weighted):
            assert words in text
    sentence = next(line for line in results["summary"] if "Eopp1 is" in line)
    assert f"Eopp1 is {plain} (" in sentence
    assert f"weighted by their number of images it is {weighted} (" in sentence
    assert "The combined test of a gap in any class gives p" in sentence


def test_a_run_under_its_policy(command, tiny_run):
    status, out, _ = command(tiny_run.path, "--threshold", 0.4, *FEW)
    assert status == 0
    assert "By skin_tone" in out
    assert "Exits by group" in out
    assert "a sample leaves at the first exit whose confidence is 0.4 or more" in out


def test_columns_by_other_names(command, tmp_path):
    text = "".join(
        f"{i},{'ab'[i % 2]},{'ab'[i % 3 % 2]},{'fm'[i // 2 % 2]},{i // 4}\n" for i in range(80)
    )
    (tmp_path / "p.csv").write_text("key,truth,said,sex,patient\n" + text)
    status, out, _ = command(
        tmp_path / "p.csv", "--label", "truth", "--prediction", "said", "--id", "key",
        "--cluster", "patient", *FEW,
    )  # fmt: skip
    assert status == 0
    assert "(20 clusters)" in out
    assert "Samples with the same 'patient' are drawn" in out


LINE = re.compile(r"on (\d+) samples \((\d+) clusters\).*Accuracy of all of them[^:]*: (0\.\d+) ")


def test_the_accuracy_is_of_all_samples_whatever_the_attributes(command, file, tmp_path):
    frame = pd.read_csv(file)
    frame.loc[frame["label"] == "mel", "sex"] = ""
    frame.loc[frame["label"] == "nev", "site"] = ""
    frame.to_csv(file, index=False)
    lines = []
    for names in (("sex", "site"), ("site", "sex"), ("site",)):
        words = [word for name in names for word in ("--group", name)]
        out = command(file, *words, "--json", tmp_path / "r.json", *FEW)[1]
        lines.append(LINE.search(out).groups())
        facts = json.loads((tmp_path / "r.json").read_text())["facts"]
        assert facts["accuracy"]["n"] == facts["n"] == 300
    assert lines[0] == lines[1] == lines[2]
    answers = frame[[f"p/{name}" for name in ("mel", "nev", "bcc")]].to_numpy().argmax(1)
    right = (np.array(["mel", "nev", "bcc"])[answers] == frame["label"]).mean()
    assert lines[0] == ("300", "150", f"{right:.3f}")
    assert f"For {(frame['label'] == 'nev').sum()} of 300 samples site is unknown" in out


def test_title_date_and_the_word_for_clusters(command, file, tmp_path):
    frame = pd.read_csv(file).rename(columns={"cluster": "patient_id"})
    frame.to_csv(file, index=False)
    words = ("--group", "sex", "--cluster", "patient_id", "--title", "Skin <b> of all")
    forms = ("--out", tmp_path / "r.html", "--markdown", tmp_path / "r.md")
    status, out, _ = command(file, *words, *forms, *FEW)
    assert status == 0
    assert "p on 300 samples (150 clusters)" in out
    page, text = (tmp_path / "r.html").read_text(), (tmp_path / "r.md").read_text()
    assert "<h1>Skin &lt;b&gt; of all</h1>" in page
    assert text.startswith("# Skin \\<b\\> of all\n\nDate: 20")
    day = datetime.date.today().isoformat()
    assert f'<time datetime="{day}">' in page
    assert "<b>150</b> patients" in page
    assert "| sex | Samples | Patients |" in text
    assert not re.search(r"\d clusters(?! stand)", page.replace("(150 clusters)", ""))


def test_line_one_and_the_positive_class(command, file, tmp_path):
    words = (file, "--group", "sex", "--json", tmp_path / "r.json", *FEW)
    first = command(*words, "--positive", "mel")[1].splitlines()[2]
    rates = json.loads((tmp_path / "r.json").read_text())["attributes"][0]["headlines"][0]["rates"]
    f, m = rates["f"], rates["m"]
    assert first.startswith(
        f"- mel by sex: {100 * f['value']:.0f} % found in f ({f['hits']} of {f['n']}), "
        f"{100 * m['value']:.0f} % in m ({m['hits']} of {m['n']}); "
    )
    assert json.loads((tmp_path / "r.json").read_text())["summary"][0] == first[2:]
    assert "name the one that matters in the setting positive" in command(*words)[1]


def test_two_classes_say_which_is_positive(command, tmp_path):
    write_predictions(draw(n=300, classes=("benign", "malignant")), tmp_path / "p.csv")
    words = (tmp_path / "p.csv", "--group", "sex", *FEW)
    out = command(*words)[1]
    assert "- malignant by sex: " in out
    assert "malignant is taken as the positive class of the two; to take benign instead" in out
    assert "Eopp1" not in out.split("Glossary")[0].split("Training")[0]
    out = command(*words, "--positive", "benign")[1]
    assert "- benign by sex: " in out
    assert "is taken as" not in out


def test_two_cohorts(command, file, tmp_path):
    there = tmp_path / "there.csv"
    write_predictions(draw(n=400, seed=2), there)
    words = (file, "--group", "sex", "--positive", "mel", *FEW)
    status, out, _ = command(*words, "--cohort", there, "--out", tmp_path / "r.html")
    assert status == 0
    assert "By sex, in there compared with p" in out
    page = (tmp_path / "r.html").read_text()
    assert "Gaps by sex here and there" in page
    for bad, message in ((file, "p holds the same samples as p"), ("no.csv", "there is no file")):
        status, _, err = command(*words, "--cohort", bad)
        assert status == 2
        assert message in err


@pytest.mark.parametrize(
    ("change", "words", "message"),
    [
        (None, ("--group", "sx"), "there is no column of an attribute 'sx'; did you mean 'sex'"),
        (None, (), "name the column of the sensitive attribute with --group; available: sex, site"),
        (None, ("--group", "sex", "--positive", "x"), "--positive is 'x', which is not a class"),
        (None, ("--group", "sex", "--cluster", "patient"), "no column 'patient'"),
        (None, ("--group", "sex", "--cluster", "clustr"), "'clustr'; did you mean 'cluster'"),
        (None, ("--group", "sex", "--split", "val"), "no rows of split 'val'"),
        (None, ("--group", "sex", "--specificity", "90"), "--specificity is 90.0; it must be"),
        (
            None,
            ("--group", "sex", "--confidence-level", "95"),
            "--confidence-level is 95.0; it must",
        ),
        (None, ("--group", "sex", "--threshold", "high"), "--threshold is 'high'; give a number"),
        (None, ("--group", "sex", "--baseline", "no.csv"), "there is no file or folder no.csv"),
        (None, ("--group", "sex", "--resamples", "5"), "Invalid value for '--resamples'"),
        (lambda text: "", ("--group", "sex"), "the file is empty"),
        (lambda text: text.split("\n")[0] + "\n", ("--group", "sex"), "there are no rows"),
        (
            lambda text: text.replace('"test7"', '"test8"', 1),
            ("--group", "sex"),
            "an earlier row has the same id",
        ),
        (lambda text: text.replace('"mel"', '"mell"', 1), ("--group", "sex"), "'mell' in column"),
        (lambda text: text.replace(",0.", ",1.", 1), ("--group", "sex"), "sum to"),
        (
            lambda text: text.replace(",0.", ",nan0.", 1),
            ("--group", "sex"),
            "does not hold numbers",
        ),
    ],
)
def test_bad_input_is_one_line(command, file, tmp_path, monkeypatch, change, words, message):
    monkeypatch.chdir(tmp_path)
    if change:
        file.write_text(change(file.read_text()))
    status, _, err = command(file, *FEW, *words, "--out", "r.html")
    assert status == 2
    assert message in err
    lines = [line for line in err.splitlines() if not line.startswith("reading ")]
    assert len(lines) == 1
    assert lines[0].startswith("fairexit: ")
    assert not (tmp_path / "r.html").exists()


def test_no_network_is_imported(file):
    code = (
        "import sys\n"
        f"sys.argv = ['fairexit', 'audit', {str(file)!r}, '--group', 'sex', '--resamples', '100',"
        f" '--permutations', '100', '--out', {str(file) + '.html'!r}]\n"
        "from fairexit import cli\n"
        "assert 'pandas' not in sys.modules\n"
        "try: cli.main()\n"
        "except SystemExit as stop: assert not stop.code\n"
        "assert not {'torch', 'lightning', 'torchmetrics'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)


def test_the_images_that_leave_first_and_last(command, tiny_run, tiny, tmp_path):
    out = tmp_path / "r.html"
    words = (tiny_run.path, "--out", out, "--json", tmp_path / "r.json", *FEW)
    assert command(*words)[0] == 0
    page = out.read_text()
    usage = json.loads((tmp_path / "r.json").read_text())["attributes"][0]["exit_usage"]
    row = int(tiny.frame.index[tiny.frame["id"] == usage["first"][0]][0])
    addresses = re.findall(r'<img src="data:image/png;base64,([^"]+)"', page)
    assert len(addresses) == len(usage["first"]) + len(usage["last"])
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(addresses[0]))))
    assert (shown == tiny.images[row]).all()
    assert command(*words, "--no-images")[0] == 0
    assert "<img" not in out.read_text()
    assert usage["first"][0] in out.read_text()

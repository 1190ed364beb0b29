"""The audit as a whole: what it holds, what it says, and what it refuses."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics as fl
from sklearn import metrics as sk

import fairexit
from drawn_predictions import QUICK, change, draw, source
from fairexit.auditing import clinical, samples
from fairexit.auditing import results as results_module
from fairexit.auditing import settings as settings_module
from fairexit.auditing.attribute import STEPS
from fairexit.auditing.audit import audit_sources
from fairexit.auditing.results import plain
from fairexit.auditing.settings import AuditSettings
from fairexit.errors import UserError
from fairexit.evaluation.evaluate import evaluate
from fairexit.metrics.record import METRICS
from fairexit.report.audit_report import AuditReport
from fairexit.report.vocabulary import label

SCRIPT = "<script>alert(1)</script>|*b*"


def perform(*sources, **options):
    return AuditReport.of(audit_sources(*sources, **options))


def full(**options):
    """An audit in which everything is asked for."""
    mine = source(n=500, exits=2, gap=0.2, validation=draw(split="val", exits=2), **options)
    other = replace(source(n=500, gap=0.1, seed=0), name="plain")
    other = replace(other, predictions=replace(other.predictions, labels=mine.predictions.labels))
    return perform(
        [mine],
        ["sex"],
        baselines=[other],
        positives=["mel"],
        settings=QUICK,
    )


@pytest.fixture(scope="module")
def audited():
    return full(costs=(1.0, 2.0))


def test_every_number_of_the_papers_table_is_there(audited):
    mine = source(n=500, exits=2, gap=0.2)
    expected = evaluate(mine.predictions, "sex", 0.8)
    found = audited.attributes[0]
    for group, values in expected.groups.items():
        for key in ("precision", "recall", "f1"):
            assert found.by_group[group][key].value == pytest.approx(values[key])
        assert found.n[group] == values["n"]
    for key in ("precision", "recall", "f1"):
        assert found.overall[key].value == pytest.approx(expected.metrics[key])
        assert found.overall[f"{key}_diff"].value == pytest.approx(expected.metrics[f"{key}_diff"])
    for key, value in expected.metrics.items():
        assert found.overall[key].value == pytest.approx(value, abs=1e-6), key
    gaps = {g.metric: g for g in found.gaps}
    assert gaps["eodd"].estimate == found.overall["eodd"]
    for gap in gaps.values():
        assert 0 < gap.null_mean < gap.null_quantile
        assert 0 < gap.p_value <= 1
    for value in [*found.overall.values(), *found.by_group["f"].values()]:
        assert value.low <= value.value + 1e-9
        assert value.value <= value.high + 1e-9


def test_it_agrees_with_scikit_learn_and_fairlearn(audited):
    mine = source(n=500, exits=2, gap=0.2)
    p, answers = mine.predictions, mine.answers
    group = p.attributes["sex"]
    found = audited.attributes[0]
    for g, name in enumerate(found.groups):
        rows = group == g
        true, said = p.labels[rows], answers[rows]
        values = found.by_group[name]
        assert values["accuracy"].value == pytest.approx(sk.accuracy_score(true, said))
        for key, score in (("precision", sk.precision_score), ("f1", sk.f1_score)):
            assert values[key].value == pytest.approx(score(true, said, average="macro"))
        area = sk.roc_auc_score(true, mine.probabilities[rows], multi_class="ovr")
        assert values["auroc"].value == pytest.approx(area, abs=1e-6)
        np.testing.assert_array_equal(found.counts[g], sk.confusion_matrix(true, said))
    for c in found.classes:
        k = p.classes.index(c.name)
        rate = {"tpr": fl.true_positive_rate, "fpr": fl.false_positive_rate}[c.rate]
        frame = fl.MetricFrame(
            metrics=rate, y_true=p.labels == k, y_pred=answers == k, sensitive_features=group
        )
        assert c.estimate.value == pytest.approx(frame.difference())
        assert [r.value for r in c.rates.values()] == pytest.approx(frame.by_group.tolist())


def test_json_is_plain_and_whole(audited):
    text = json.dumps(audited.to_dict(), allow_nan=False)
    found = json.loads(text)
    parts = {"facts", "attributes", "slices", "cohorts", "summary", "next_steps", "limits"}
    assert set(found) == parts
    assert found["attributes"][0]["counts"] == audited.attributes[0].counts.tolist()
    assert len(found["attributes"][0]["paired"]) == len(METRICS)
    assert plain({"a": float("nan"), "b": np.float32(2), 3: np.array([np.nan])}) == {
        "a": None,
        "b": 2.0,
        "3": [None],
    }


def test_the_frame_holds_groups_gaps_and_classes(audited):
    frame = audited.to_frame()
    assert set(frame["metric"]) >= {"eopp1", "f1", "tpr gap", "fpr gap", "sensitivity"}
    row = frame[(frame["metric"] == "eopp1") & (frame["group"] == "")].iloc[0]
    assert row["p_value"] == next(
        g.p_value for g in audited.attributes[0].gaps if g.metric == "eopp1"
    )
    assert (frame["class"] == "mel").sum() == 2 + 2 * 7
    assert frame.loc[frame["metric"] == "tpr gap", "p_adjusted"].notna().all()


def test_the_same_seed_gives_the_same_audit():
    assert full().to_dict() == full().to_dict()
    other = perform([source()], ["sex"], settings=replace(QUICK, random_state=1))
    same = perform([source()], ["sex"], settings=QUICK)
    assert other.to_dict() != same.to_dict()


def test_a_planted_gap_is_told_and_none_is_called_fair():
    found = perform([source(n=1500, gap=0.3)], ["sex"], settings=QUICK)
    told = " ".join(found.summary)
    assert re.search(r"By sex, Eopp1 is 0\.\d+ .* the gap is more than chance \(p", told)
    assert "the groups differ by more than chance in" in told
    assert "in f" in " ".join(found.next_steps)
    quiet = perform([source(n=1500)], ["sex"], settings=QUICK)
    told = " ".join(quiet.summary)
    assert "the gap could be chance" in told
    assert "would have shown is about 0." in told
    assert (
        "in every class that can be compared could be chance after correction for 6 tests" in told
    )
    for audit in (found, quiet):
        for sentence in (*audit.summary, *audit.next_steps, *audit.limits):
            assert not re.search(r"\b(un)?fair", sentence)


def test_limits_name_what_is_missing():
    found = source()
    tone = {"skin_tone": found.predictions.attributes["sex"].copy()}
    tone["skin_tone"][:7] = -1
    names = {"skin_tone": ("dark", "light")}
    blank = np.full(len(found.predictions), "")
    found = replace(
        change(
            found,
            attributes=tone,
            group_names=names,
            clusters=blank,
            given=found.answers,
            probabilities=None,
        ),
        cluster_name="",
        dataset={"leaks": {"train-test": {"clusters": 3}}},
    )
    limits = " ".join(perform([found], ["skin_tone"], settings=QUICK).limits)
    for words in (
        "a rater's estimate, not a measurement",
        "7 samples of unknown skin_tone",
        "No clusters are known",
        "answers only, no probabilities",
        "Training and test share lesions or patients",
    ):
        assert words in limits


def test_crossed_attributes_are_one_more():
    found = source(n=800)
    both = perform([found], ["sex", "site"], intersections=True, settings=QUICK)
    assert [a.attribute for a in both.attributes] == ["sex", "site", "sex x site"]
    crossed = both.attributes[2]
    p = found.predictions
    assert crossed.groups[0] == "f / arm"
    assert len(crossed.groups) == 6
    inside = (p.attributes["sex"] == 1) & (p.attributes["site"] == 2)
    assert crossed.n["m / leg"] == inside.sum()
    assert both.slices.attributes == ("sex", "site")


def test_seeds_and_baselines_in_pairs():
    mine = [source(n=400, seed=0), source(n=400, seed=0, gap=0.05)]
    labels = mine[0].predictions
    mine[1] = change(mine[0], probabilities=np.roll(labels.probabilities, 1, axis=2))
    base = [replace(mine[1], name="base"), replace(mine[0], name="base")]
    found = perform(mine, ["sex"], baselines=base, settings=QUICK).attributes[0]
    assert len(found.seeds["eopp1"]) == 2
    assert found.seeds["accuracy"][0] == pytest.approx(found.overall["accuracy"].value)
    pair = next(p for p in found.paired if p.metric == "accuracy")
    assert pair.values == pair.baselines[::-1] == found.seeds["accuracy"]
    assert pair.difference.value == pytest.approx(0)
    # Two seeds that disagree leave the difference wide open.
    assert pair.difference.high - pair.difference.low > abs(pair.values[0] - pair.values[1])


def test_a_model_against_itself_differs_by_nothing():
    mine = source(n=300)
    pairs = perform([mine], ["sex"], baselines=[mine], settings=QUICK).attributes[0].paired
    assert all(p.difference.value == p.difference.low == p.difference.high == 0 for p in pairs)


@pytest.mark.parametrize(
    ("groups", "options", "message"),
    [
        ([], {}, "name the column of the sensitive attribute with 'groups'; available: sex, site"),
        (["sx"], {}, r"there is no column of an attribute 'sx'; did you mean 'sex'\?"),
        (["sex"], {"intersections": True}, "^'intersections' needs at least two attributes"),
        (
            ["sex"],
            {"positives": ["x"]},
            "^'positive' is 'x', which is not a class; available: bcc, mel, nev",
        ),
    ],
)
def test_what_cannot_be_audited(groups, options, message):
    with pytest.raises(UserError, match=message):
        perform([source()], groups, settings=QUICK, **options)
    with pytest.raises(UserError, match="models: 2, baselines: 1; give 'baseline' once"):
        perform([source(), source()], ["sex"], baselines=[source()], settings=QUICK)


def test_a_group_of_one_value_and_one_of_a_hundred():
    found = source(n=400)
    one = found.predictions.take(found.predictions.attributes["sex"] == 0)
    with pytest.raises(
        UserError,
        match=r"attribute 'sex' has only one value \('f'\); at least two groups are needed",
    ):
        perform([replace(found, predictions=one)], ["sex"], settings=QUICK)
    # Four images of each of a hundred doctors.
    many = {"doctor": np.arange(400) // 4}
    names = {"doctor": tuple(f"d{i}" for i in range(100))}
    crowd = perform([change(found, attributes=many, group_names=names)], ["doctor"], settings=QUICK)
    gaps = {g.metric: g for g in crowd.attributes[0].gaps}
    assert gaps["eopp1"].estimate.value > 0.9
    assert gaps["eopp1"].p_value > 0.05
    assert {c.verdict for c in crowd.attributes[0].classes} == {"too few samples"}
    assert any("too few for any conclusion: d0" in line for line in crowd.limits)


def test_names_that_are_markup_show_as_text():
    mine = source(classes=(SCRIPT, "nev", "b\x1b[31m"), groups=(SCRIPT, "m"), exits=2, n=500)
    found = perform([mine], ["sex"], positives=[SCRIPT], settings=QUICK)
    page, text = found._repr_html_(), found.to_markdown()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"(?<!\\)<script", text)
    assert r"\<script\>alert(1)\</script\>\|\*b\*" in text
    assert "\x1b" not in text
    for line in text.splitlines():
        if line.startswith("| "):
            cells = re.findall(r"(?<!\\)\|", line)
            assert len(cells) >= 3


def test_tables_are_rectangular(audited):
    from fairexit.report.sections import sections

    tables = [t for section in sections(audited) for t in section.tables]
    assert len(tables) >= 9
    for table in tables:
        assert all(len(row) == len(table.columns) for row in table.rows), table.title


# The public function.


def columns(found):
    p = found.predictions
    return {
        "y": np.array(p.classes)[p.labels],
        "answer": np.array(p.classes)[found.answers],
        "sex": np.array(p.group_names["sex"])[p.attributes["sex"]],
        "lesion": p.clusters,
    }


def test_frames_arrays_and_predictions_give_one_audit(tmp_path):
    found = source(n=300)
    data = columns(found)
    frame = pd.DataFrame(data)
    names = {"label": "y", "prediction": "answer", "cluster": "lesion"}
    of_frame = fairexit.audit(frame, groups=["sex"], settings=QUICK, **names)
    frame.to_csv(tmp_path / "p.csv", index=False)
    of_file = fairexit.audit(tmp_path / "p.csv", groups=["sex"], settings=QUICK, **names)
    of_arrays = fairexit.audit(
        label=data["y"],
        prediction=data["answer"],
        groups={"sex": data["sex"]},
        cluster=data["lesion"],
        settings=QUICK,
    )
    for other in (of_file, of_arrays):
        assert other.to_frame().equals(of_frame.to_frame())
    assert of_frame.facts.cluster_name == "lesion"
    soft = fairexit.audit(found.predictions, groups=["sex"], settings=QUICK)
    assert "auroc" in soft.attributes[0].overall
    assert "auroc" not in of_frame.attributes[0].overall


def test_a_baseline_as_an_array_or_a_frame():
    found = source(n=300)
    data = columns(found)
    names = {"label": "y", "prediction": "answer", "cluster": "lesion", "groups": ["sex"]}
    frame = pd.DataFrame(data)
    other = frame.assign(answer=np.roll(frame["answer"], 1))
    one = fairexit.audit(frame, baseline=other, settings=QUICK, **names)
    two = fairexit.audit(frame, baseline=other["answer"].to_numpy(), settings=QUICK, **names)
    assert one.attributes[0].paired == two.attributes[0].paired
    rows = found.predictions.probabilities[:, 0][:, [1, 2, 0]]
    soft = fairexit.audit(
        found.predictions, groups=["sex"], baseline=rows, positive="mel", settings=QUICK
    )
    assert soft.attributes[0].paired[0].baseline < soft.attributes[0].paired[0].value


def test_figures_and_page(tmp_path):
    found = fairexit.audit(
        draw(n=300, exits=2), groups=["sex"], threshold=0.8, settings=QUICK, name="mine"
    )
    figures = found.figures()
    assert set(figures) == {"classes by sex", "threshold by sex", "exits by sex"}
    assert all(len(figure.axes[0].get_legend().texts) >= 2 for figure in figures.values())
    found.save(tmp_path / "r.html")
    assert "Audit" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"label": ["a"], "groups": ["sex"]},
            "'groups' must hold arrays, as in groups={'sex': sex}",
        ),
        ({"groups": {"sex": ["f"]}}, "no table is given, so 'label' must be an array"),
        (
            {"label": "y", "groups": {"sex": ["f"]}},
            "label='y' names a column, but no table is given",
        ),
        (
            {"table": draw(n=20), "label": ["a"], "groups": ["sex"]},
            "a table is given, so 'label' must be the name of a column",
        ),
        (
            {"table": draw(n=20), "groups": {"sex": ["f"]}},
            "a table is given, so 'groups' must name its columns",
        ),
        (
            {"label": ["a", "b"], "prediction": ["b", "b"], "groups": {"s": ["f", "m"]}}
            | {"baseline": "x.csv"},
            "given as arrays, so the baseline must be an array too",
        ),
    ],
)
def test_calls_that_do_not_fit(options, message):
    with pytest.raises(UserError, match=message):
        fairexit.audit(**options)


def test_numbers_without_spread_are_not_certain():
    """A bootstrap of answers that are all right holds no wrong one; exact intervals know that."""
    found = source(n=200)
    right = np.eye(3, dtype=np.float32)[found.predictions.labels][:, None]
    one = perform([change(found, probabilities=right)], ["sex"], positives=["mel"], settings=QUICK)
    a = one.attributes[0]
    for estimate in (a.overall["f1"], a.gaps[0].estimate):
        assert np.isnan(estimate.low)
        assert "no interval: all draws agree" in estimate.note
    assert "1.000 (no interval: all draws agree" in one.to_markdown()
    assert 0.9 < a.overall["accuracy"].low < a.overall["accuracy"].high == 1
    for c in a.classes:
        assert -1 <= c.estimate.low < 0 < c.estimate.high <= 1
    # Nothing varies under permutation: no size of a gap can be named, least of all 0.
    assert all(np.isnan(gap.min_detectable_gap) for gap in (*a.gaps, *a.classes))
    assert "nothing can be concluded about gaps by sex" in " ".join(one.next_steps)


def test_settings_in_range():
    for name in ("confidence_level", "alpha", "specificity"):
        with pytest.raises(UserError, match=f"{name} is 2; it must be between 0 and 1"):
            AuditSettings(**{name: 2})


def test_one_attribute_by_its_name():
    one = fairexit.audit(draw(n=100), groups="sex", settings=QUICK)
    assert [a.attribute for a in one.attributes] == ["sex"]


def test_settings_say_what_was_drawn(audited):
    assert audited.facts.n_resamples == QUICK.n_resamples
    assert audited.facts.n_permutations == QUICK.n_permutations
    assert AuditSettings().n_resamples == AuditSettings().n_permutations == 10_000


@pytest.mark.parametrize("gap", [0.0, 0.4])
def test_the_summary_names_every_gap_that_is_more_than_chance(gap):
    found = perform([source(n=800, gap=gap)], ["sex"], settings=QUICK)
    beyond = {g.metric for g in found.attributes[0].gaps if g.p_value <= 0.05}
    beyond -= {"eopp1", "eodd", "eopp1_weighted", "eodd_weighted"}
    line = [text for text in found.summary if "other gaps are more than chance" in text]
    assert bool(beyond) == bool(line) == bool(gap)
    assert all(label(metric) in line[0] for metric in beyond)


def test_a_model_that_gives_one_answer_is_called_so():
    found = source(n=300)
    same = np.zeros_like(found.predictions.probabilities)
    same[..., 1] = 1
    told = perform([change(found, probabilities=same)], ["sex"], settings=QUICK).summary
    line = "Every sample is answered with 'nev'. Gaps of such a model are 0 and mean nothing."
    assert line in told
    assert line not in perform([found], ["sex"], settings=QUICK).summary


def test_large_audits_draw_less_say_so_and_show_their_steps(monkeypatch, capsys):
    monkeypatch.setattr(settings_module, "MAX_RATES", 6 * 2000)
    monkeypatch.setattr(clinical, "MAX_SCORES", 100)
    settings = AuditSettings(n_resamples=5000, n_permutations=300)
    results = audit_sources([source()], ["sex"], settings=settings)
    facts = results.facts
    assert (facts.n_resamples, facts.n_permutations) == (2000, 300)
    (bound,) = facts.bounds
    assert bound.startswith("With 6 combinations of group and class, 2,000 resamples and")
    assert bound in AuditReport.of(results).limits
    auroc = results.attributes[0].overall["auroc"]
    assert auroc.note == "no interval: more than 100 probabilities"
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "slices"
    assert [line.split(": ")[0] for line in lines[1:]] == ["sex"] * STEPS

    plain = audit_sources([source()], ["sex"], settings=QUICK)
    assert plain.facts.bounds == ()
    assert capsys.readouterr().err == ""
    assert plain.attributes[0].overall["auroc"].value == pytest.approx(auroc.value)


def test_large_counts_are_listed_without_zeros(monkeypatch):
    counts = np.zeros((2, 3, 3), np.int64)
    counts[1, 2, 0], counts[0, 1, 1] = 7, 2
    assert plain(counts) == counts.tolist()
    monkeypatch.setattr(results_module, "MAX_LISTED", 17)
    assert plain({"counts": counts}) == {"counts": [[0, 1, 1, 2], [1, 2, 0, 7]]}


def test_more_counts_than_fit_in_memory_are_refused(monkeypatch):
    monkeypatch.setattr(samples, "MAX_COUNTS", 17)
    with pytest.raises(UserError, match=r"'sex' has 2 groups and the table has 3 classes; .*17"):
        audit_sources([source()], ["sex"], settings=QUICK)


def test_an_age_that_a_run_has_stored_is_no_group_either():
    found = source(n=400)
    ages = {"age": np.arange(400) % 18}
    names = {"age": tuple(str(5 * i) for i in range(18))}
    with pytest.raises(UserError, match=r"'age' is a number with 18 values.*age=30,60"):
        perform([change(found, attributes=ages, group_names=names)], ["age"], settings=QUICK)

"""What a monitor watches, in which order, and what it finds."""

import math

import numpy as np
import pandas as pd
import pytest

import fairexit
from fairexit.errors import UserError
from fairexit.monitoring.results import CHANGED, GAP, MIX, PERFORMANCE, QUIET, WORSE, Quantity

CLASSES = ("bcc", "mel", "nev")


def images(n, seed, *, accuracy=(0.8, 0.8), share=0.5, mix=(0.3, 0.2, 0.5), name="b", week=0):
    """A table of answers with one to three images of each lesion."""
    rng = np.random.default_rng([1, seed])
    owner = np.repeat(np.arange(n), rng.integers(1, 4, n))
    sex = (rng.random(n) < share).astype(int)[owner]
    label = rng.choice(3, n, p=mix)[owner]
    right = rng.random(n)[owner] < np.array(accuracy)[sex]
    answer = np.where(right, label, (label + 1) % 3)
    return pd.DataFrame(
        {
            "id": [f"{name}{seed}-{i}" for i in range(len(owner))],
            "label": np.array(CLASSES)[label],
            "prediction": np.array(CLASSES)[answer],
            "sex": np.array(["f", "m"])[sex],
            "lesion": [f"{name}{seed}-{i}" for i in owner],
            "week": week,
        }
    )


def with_exits(frame, seed=0):
    """The table with the probabilities of two exits in place of the answers."""
    rng = np.random.default_rng([2, seed])
    confidence = rng.uniform(0.4, 1, len(frame))
    answer = [CLASSES.index(name) for name in frame["prediction"]]
    final = np.repeat(((1 - confidence) / 2)[:, None], 3, 1)
    final[np.arange(len(frame)), answer] = confidence
    columns = {f"p{e}/{c}": final[:, k] for e in "1f" for k, c in enumerate(CLASSES)}
    return frame.drop(columns="prediction").assign(**columns)


def watch(base, new, **options):
    return fairexit.monitor(base, new, **({"groups": "sex", "cluster": "lesion"} | options))


def of(report, *key):
    """What is known of one quantity."""
    return next(w for w in report.watched if w.quantity == Quantity(*key))


def numbers(report):
    """Everything but the facts, for comparison."""
    return [(w.quantity, w.p_changed, w.p_worse, w.alarm, w.looks) for w in report.watched]


@pytest.fixture(scope="module")
def base():
    return images(1200, 0)


@pytest.fixture(scope="module")
def weeks():
    """Eight weeks; from the fourth on, one group is served far worse."""
    good, bad = (0.8, 0.8), (0.8, 0.35)
    return [images(80, 10 + k, accuracy=good if k < 3 else bad, name="w", week=k) for k in range(8)]


def test_without_a_change_there_is_no_alarm(base):
    report = watch(base, [images(80, 30 + k, name="n") for k in range(6)])
    assert report.alarms == ()
    assert not report.is_worse
    assert report.summary[0].startswith("No alarm after 480 lesions of NEW 1, NEW 2")
    for w in report.watched:
        assert w.verdict == QUIET
        assert w.alarm == -1
        assert w.difference.low < 0 < w.difference.high


def test_a_fall_in_one_group_is_named_with_the_look_that_showed_it(base, weeks):
    report = watch(base, weeks)
    fallen = of(report, PERFORMANCE, "accuracy", "sex", "m")
    assert fallen.verdict == WORSE
    assert 3 <= fallen.alarm <= 6
    assert fallen.looks[fallen.alarm].p_worse <= 0.05 < fallen.looks[fallen.alarm - 1].p_worse
    assert fallen.difference.high < -0.05
    assert of(report, PERFORMANCE, "accuracy", "sex", "f").verdict == QUIET
    gap = of(report, GAP, "accuracy", "sex", "f")
    assert gap.verdict == WORSE
    assert gap.difference.low > 0
    assert report.is_worse
    assert report.summary[0] == (
        f"The model does worse than in BASE, after {report.facts.clusters[1]} lesions of NEW 1, "
        "NEW 2, NEW 3, NEW 4, NEW 5 and 3 more, looked at 8 times."
    )
    assert any("Accuracy of sex m: 0.8" in line and "worse by more than 0.05" in line
               for line in report.summary)  # fmt: skip
    assert any("Gap in accuracy, f minus m" in line and "wider by more than 0.05" in line
               for line in report.summary)  # fmt: skip


def test_a_difference_within_the_tolerance_is_a_change_but_not_worse(base, weeks):
    report = watch(base, weeks, tolerance=0.6)
    fallen = of(report, PERFORMANCE, "accuracy", "sex", "m")
    assert (fallen.verdict, fallen.p_worse) == (CHANGED, 1)
    assert not report.is_worse
    assert "nothing is worse by more than 0.6" in report.summary[0]


def test_a_rise_is_a_change_but_not_worse(base):
    report = watch(base, [images(500, 3, accuracy=(0.97, 0.97), name="n")], every=100)
    rise = of(report, PERFORMANCE, "accuracy")
    assert (rise.verdict, rise.p_worse) == (CHANGED, 1)
    assert not report.is_worse


def test_the_mix_is_different_but_never_worse(base):
    report = watch(base, [images(600, 4, share=0.8, mix=(0.1, 0.6, 0.3), name="n")], every=100)
    changed = {w.quantity for w in report.alarms}
    assert changed >= {
        Quantity(MIX, "group", "sex", "m"),
        Quantity(MIX, "class", name="mel"),
        Quantity(MIX, "answer", name="mel"),
    }
    assert not report.is_worse
    assert all(w.p_worse == 1 for w in report.watched if w.quantity.question == MIX)


@pytest.mark.parametrize("number", [1, 5])
def test_each_later_look_adds_to_the_same_trajectory(base, weeks, number):
    whole, part = watch(base, weeks), watch(base, weeks[:number])
    for w, early in zip(whole.watched, part.watched, strict=True):
        assert w.looks[:number] == early.looks
    grown = pd.concat(weeks)
    assert numbers(watch(base, grown, time="week")) == numbers(whole)
    early = watch(base, grown[grown["week"] < number], time="week")
    assert numbers(early) == numbers(part)


def test_clusters_wait_for_a_full_look(base, weeks):
    grown = pd.concat(weeks[:3])
    whole = watch(base, grown, every=50)
    assert whole.facts.looks == ("50 clusters", "100 clusters", "150 clusters", "200 clusters")
    assert whole.facts.clusters == (1200, 200)
    assert "the last 40 clusters wait for the next look" in whole.facts.notes
    lesions = pd.unique(grown["lesion"])[:170]
    part = watch(base, grown[grown["lesion"].isin(lesions)], every=50)
    for w, early in zip(whole.watched, part.watched, strict=True):
        assert w.looks[:3] == early.looks


def test_time_is_the_order_not_the_row(base, weeks):
    grown = pd.concat(weeks)
    shuffled = grown.sample(frac=1, random_state=0)
    assert numbers(watch(base, shuffled, time="week")) == numbers(watch(base, grown, time="week"))


@pytest.mark.parametrize(
    ("times", "looks"),
    [
        (["10", "9.0", "9"], ("9", "10")),
        (["2026-02-01", "2026-01-31", "2026-01-31T10:00"], ("2026-01-31", "2026-02-01")),
        (["2026-W02", "2025-W52", "2025-W52"], ("2025-W52", "2026-W02")),
    ],
)
def test_times_are_numbers_days_or_weeks(base, times, looks):
    new = images(60, 5, name="n")
    new["week"] = np.array(times, object)[np.arange(len(new)) % 3]
    assert watch(base, new, time="week").facts.looks == looks


def test_a_cluster_counts_once_however_many_images_it_has(base, weeks):
    copies = [
        pd.concat([week, week.assign(id=week["id"] + "x")]).sort_values("lesion", kind="stable")
        for week in weeks
    ]
    assert numbers(watch(base, copies)) == numbers(watch(base, weeks))


def test_a_later_visit_is_left_out(base, weeks):
    again = weeks[0].assign(id=weeks[0]["id"] + "x", prediction="nev")
    report = watch(base, [weeks[0], pd.concat([again, weeks[1]]), weeks[2]])
    n = sum(len(week) for week in weeks[:3]) + len(again)
    assert numbers(report) == numbers(watch(base, weeks[:3]))
    [note] = [note for note in report.facts.notes if "later visits" in note]
    assert note == f"{len(again)} of {n} images are of later visits of a cluster and are left out"


def test_without_labels_only_the_mix_is_watched(base, weeks):
    labelled = watch(base, weeks)
    report = watch(base, [week.drop(columns="label") for week in weeks])
    assert report.facts.tests == {MIX: 4}
    assert report.metrics == {}
    assert "a fall in performance would not be seen" in report.summary[-1]
    for w in report.watched:
        same = of(labelled, *vars(w.quantity).values())
        assert [look.value for look in w.looks] == [look.value for look in same.looks]


def test_without_labels_nothing_is_said_about_what_is_worse(base):
    new = images(600, 4, share=0.8, name="n").drop(columns="label")
    first = watch(base, new).summary[0]
    assert first == "Something is different from BASE, after 600 lesions of NEW 1, looked at once."


def test_values_are_means_over_clusters(base, weeks):
    report = watch(base, weeks)
    for table, value in ((base, lambda w: w.base), (pd.concat(weeks), lambda w: w.looks[-1].value)):
        right = (
            (table["label"] == table["prediction"]).groupby([table["lesion"], table["sex"]]).mean()
        )
        by_sex = right.groupby("sex").mean()
        for sex in "fm":
            w = of(report, PERFORMANCE, "accuracy", "sex", sex)
            assert value(w) == pytest.approx(by_sex[sex], abs=0.004)
        gap = of(report, GAP, "accuracy", "sex", "f")
        assert value(gap) == pytest.approx(by_sex["f"] - by_sex["m"], abs=0.008)


def test_p_values_are_corrected_for_questions_and_quantities(base):
    new = [images(150, 40 + k, share=0.7, name="n") for k in range(4)]
    labelled, bare = (
        of(watch(base, tables), MIX, "group", "sex", "m")
        for tables in (new, [week.drop(columns="label") for week in new])
    )
    # Seven quantities of one of three questions; four of the only one.
    compared = [(a, b) for a, b in zip(labelled.looks, bare.looks, strict=True) if a.p_changed < 1]
    assert compared
    for a, b in compared:
        assert a.p_changed == pytest.approx(b.p_changed * 21 / 4)


def test_metrics_of_gaps_are_those_of_the_audit(base, weeks):
    report = watch(base, weeks)
    overall = fairexit.evaluate(base, group="sex", cluster="lesion").evaluation.metrics
    assert report.metrics["sex"]["eopp1"][0] == pytest.approx(overall["eopp1"])


def test_the_policy_of_base_holds_for_later_answers(base, weeks):
    report = watch(
        with_exits(base), [with_exits(week, k) for k, week in enumerate(weeks)], threshold=0.7
    )
    share = of(report, MIX, "exit", "", "", "f")
    assert share.base == pytest.approx(0.5, abs=0.05)
    assert share.looks[-1].value == pytest.approx(0.5, abs=0.05)
    assert of(report, MIX, "confidence").verdict == QUIET


def test_the_exits_of_a_table_of_answers_are_watched(base, weeks):
    full = [with_exits(week, k) for k, week in enumerate(weeks)]
    answers = []
    for table in full:
        p = table.filter(regex="^pf/").rename(columns=lambda name: name.replace("pf/", "p/"))
        leaves = np.where(p.max(axis=1) >= 0.7, "1", "f")
        answers.append(pd.concat([table.drop(columns=list(table.filter(regex="^p")))
                                  .assign(exit=leaves), p], axis=1))  # fmt: skip
    a, b = (watch(with_exits(base), new, threshold=0.7) for new in (full, answers))
    assert numbers(a) == numbers(b)
    wrong = answers[0].assign(exit="7")
    with pytest.raises(UserError, match=r"column 'exit' has '7', which is no exit of BASE"):
        watch(with_exits(base), wrong, threshold=0.7)


def test_a_new_group_is_said_and_counts_in_no_group(base, weeks):
    new = weeks[0].copy()
    new.loc[:9, "sex"] = "other"
    report = watch(base, [new, *weeks[1:]])
    note = (
        "10 images of NEW 1 are of the group 'other' of sex, which BASE does not have; they count "
        "in no group"
    )
    assert note in report.facts.notes
    assert report.facts.groups == {"sex": ("f", "m")}


def test_a_class_that_has_not_come_yet_has_no_value(base):
    new = images(60, 5, name="n", mix=(0.5, 0.0, 0.5))
    w = of(watch(base, new), PERFORMANCE, "tpr", "", "", "mel")
    assert math.isnan(w.looks[-1].value)
    assert (w.p_changed, w.verdict, w.looks[-1].clusters) == (1, QUIET, 0)


def test_what_base_has_too_few_of_is_not_watched(weeks):
    base = pd.concat([images(300, 0), images(6, 1, mix=(0, 1, 0))])
    base = base[(base["label"] != "mel") | base["id"].str.startswith("b1-")]
    report = watch(base, weeks)
    assert Quantity(PERFORMANCE, "tpr", name="mel") in report.facts.not_watched
    assert all(w.quantity.measure != "tpr" or w.quantity.name != "mel" for w in report.watched)
    assert "Not watched" in report.to_markdown()


def test_more_than_two_groups_are_compared_with_all_others(base, weeks):
    ages = ("young", "middle", "old")

    def aged(table):
        return table.assign(age=[ages[int(name[-1]) % 3] for name in table["lesion"]])

    report = watch(aged(base), [aged(week) for week in weeks], groups="age")
    names = [
        w.quantity.group
        for w in report.watched
        if (w.quantity.question, w.quantity.measure) == (GAP, "accuracy")
    ]
    assert sorted(names) == sorted(ages)
    assert "minus the others" in report.to_markdown()


def test_names_in_another_form_are_one_name(base, weeks):
    loud = weeks[0].assign(sex=weeks[0]["sex"].str.upper(), label=weeks[0]["label"].str.upper())
    report = watch(base, [loud, *weeks[1:]])
    assert numbers(report) == numbers(watch(base, weeks))


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (
            lambda t: t.assign(prediction=["wart", *t["prediction"][1:]]),
            {},
            "'wart' in column 'prediction' is not a class",
        ),
        (
            lambda t: t.assign(label=["wart", *t["label"][1:]]),
            {},
            "'wart' in column 'label' is not a class",
        ),
        (lambda t: t.drop(columns="sex"), {}, "there is no column of an attribute 'sex'"),
        (lambda t: t[:0], {}, "there are no rows"),
        (lambda t: t.assign(id=[f"b0-{i}" for i in range(len(t))]), {}, "such as 'b0-0' in BASE"),
        (lambda t: t, {"time": "month"}, "there is no column 'month'"),
        (lambda t: t.assign(week="May"), {"time": "week"}, "column 'week' has 'May'; write every"),
        (lambda t: t.assign(week=[None] * len(t)), {"time": "week"}, "row 1 has no 'week'"),
        (lambda t: t.assign(week=range(len(t))), {"time": "week"}, "there would be 1,"),
        (lambda t: t[:5], {"every": 25}, "there are 2 clusters, too few for a look after every 25"),
        (lambda t: t, {"time": "week", "every": 5}, "'time' and 'every' both say when to look"),
        (lambda t: t, {"alpha": 1.5}, "'alpha' is 1.5; it must be between 0 and 1"),
        (lambda t: t, {"tolerance": -1}, "'tolerance' is -1; it must be at least 0 and below 1"),
        (lambda t: t, {"every": 0}, "'every' is 0; it must be at least 1"),
    ],
)
def test_bad_input_is_one_line(base, change, options, words):
    with pytest.raises(UserError) as error:
        watch(base, change(images(700, 5, name="n")), **options)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_tables_must_fit_each_other(base, weeks):
    with pytest.raises(UserError, match=r"NEW 2 has no labels, but NEW 1 has"):
        watch(base, [weeks[0], weeks[1].drop(columns="label")])
    with pytest.raises(UserError, match=r"in NEW 1 and NEW 2; give every image once"):
        watch(base, [weeks[0], pd.concat(weeks[:2])])
    with pytest.raises(UserError, match="no table of later answers"):
        watch(base, [])
    other = with_exits(weeks[0]).rename(columns={"p1/mel": "p1/wart", "pf/mel": "pf/wart"})
    with pytest.raises(UserError, match="different classes: only BASE has 'mel'"):
        watch(with_exits(base), other.assign(label="nev"), threshold=0.7)


def test_the_same_patients_in_both_are_pointed_out(base, weeks):
    shared = weeks[0].assign(lesion="b0-1")
    notes = watch(base, [shared, *weeks[1:]]).facts.notes
    assert any("1 clusters are in both BASE and NEW 1, such as 'b0-1'" in note for note in notes)


def test_a_table_without_clusters_is_pointed_out(base, weeks):
    bare = weeks[0].rename(columns={"lesion": "cluster"}).assign(cluster="")
    report = watch(base.rename(columns={"lesion": "cluster"}), bare, cluster=None)
    assert "NEW 1 has no clusters, so each of its images counts as one" in report.facts.notes
    assert report.facts.clusters[1] == len(bare)

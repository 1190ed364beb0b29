"""The evaluation of a table of predictions: its keys, its numbers, its imports."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from fairexit import metrics
from fairexit.errors import UserError
from fairexit.evaluation.evaluate import evaluate, paper_table
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.thresholds import select
from fairexit.metrics.counts import count
from random_predictions import make

KEYS = "policy empty n unknown groups exit_share exits only_answer main_answer_share empty_cells"
MACRO = ("precision", "recall", "f1")


def test_keys_and_numbers() -> None:
    predictions = make(n=300)
    result = evaluate(predictions, "sex", 0.7).to_dict()
    numbers = {name: result[name] for name in (*metrics.METRICS, "auroc")}
    assert [*result] == [*KEYS.split(), *numbers]
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    groups = predictions.attributes["sex"]
    exits = select(predictions.confidence(), 0.7)
    chosen = predictions.probabilities[np.arange(300), exits]
    for g, name in enumerate(("a", "b")):
        inside = groups == g
        expected = precision_recall_fscore_support(
            predictions.labels[inside], chosen[inside].argmax(1), average="macro", zero_division=0
        )
        values = result["groups"][name]
        assert [*values] == ["n", *MACRO]
        assert values["n"] == inside.sum()
        assert [values[key] for key in MACRO] == pytest.approx(expected[:3])
        assert result["exit_share"][name] == pytest.approx(
            {exit_: (exits[inside] == e).mean() for e, exit_ in enumerate(("1", "2", "f"))}
        )
    for key in MACRO:
        pair = [result["groups"][name][key] for name in ("a", "b")]
        assert numbers[key] == pytest.approx(np.mean(pair))
        assert numbers[f"{key}_diff"] == pytest.approx(abs(pair[0] - pair[1]))
    assert numbers["worst_group_f1"] == min(v["f1"] for v in result["groups"].values())
    known = groups >= 0
    assert result["n"] == known.sum() < 300
    assert result["unknown"] == 300 - known.sum()
    labels, scores = predictions.labels[known], chosen[known].astype(float)
    scores /= scores.sum(1, keepdims=True)
    assert numbers["auroc"] == pytest.approx(roc_auc_score(labels, scores, multi_class="ovr"))
    counts = count(predictions.labels, chosen.argmax(1), groups, num_classes=4, num_groups=2)
    for name, metric in metrics.METRICS.items():
        assert numbers[name] == metric(counts)
    assert result["policy"] == Policy(0.7).to_dict()


def test_each_exit_is_the_answer_of_that_exit_alone() -> None:
    predictions = make()
    exits = evaluate(predictions, "sex", 0.7).exits
    assert [exit_["exit"] for exit_ in exits] == ["1", "2", "f"]
    for e, exit_ in enumerate(exits):
        alone = replace(
            predictions, probabilities=predictions.probabilities[:, e : e + 1], exit_names=("f",)
        )
        result = evaluate(alone, "sex", None)
        assert exit_ == {"exit": exit_["exit"], **result.metrics}
    final = evaluate(predictions, "sex", None)
    assert final.metrics["eodd_paper"] == exits[-1]["eodd_paper"]
    assert final.exit_share["a"] == {"1": 0, "2": 0, "f": 1}


def test_a_policy_counts_with_all_its_parts() -> None:
    predictions = make()
    policy = Policy((0.99, 0.99), "most_confident", "eodd_paper", 0.01, "val", "sex")
    result = evaluate(predictions, "sex", policy)
    assert result.policy is policy
    assert result.exit_share != evaluate(predictions, "sex", 0.99).exit_share
    assert evaluate(predictions, "sex", [0.99, 0.99]).policy.theta == (0.99, 0.99)


def test_a_plain_network_leaves_at_its_only_exit() -> None:
    result = evaluate(make(exits=1), "sex", 0.9)
    assert (result.policy.theta, result.policy.rule) == (None, "single exit")
    assert result.exit_share == {"a": {"f": 1}, "b": {"f": 1}}


def test_empty_cells_and_groups() -> None:
    predictions = make(groups=3, unknown=False)
    predictions.attributes["sex"][predictions.attributes["sex"] == 1] = 0
    predictions.attributes["sex"][predictions.labels == 3] = 0
    result = evaluate(predictions, "sex", 0.7)
    last = predictions.classes[3]
    assert result.empty_cells == [("b", name) for name in predictions.classes] + [("c", last)]
    assert math.isnan(result.groups["b"]["f1"])
    assert result.groups["b"]["n"] == 0
    plain = result.to_dict()
    assert plain["groups"]["b"]["f1"] is None
    assert plain["exit_share"]["b"] == {"1": None, "2": None, "f": None}
    assert result.metrics["f1_diff"] == abs(result.groups["a"]["f1"] - result.groups["c"]["f1"])
    assert (
        evaluate(predictions, "sex", 0.7, empty="zero").metrics["eopp1"] > result.metrics["eopp1"]
    )


def test_hard_answers_have_no_auroc() -> None:
    predictions = make()
    hard = replace(
        predictions, probabilities=None, exit_names=("f",), given=predictions.answers[:, -1]
    )
    result = evaluate(hard, "sex", None)
    assert result.to_dict()["auroc"] is None
    assert result.metrics["eodd_paper"] == evaluate(predictions, "sex", None).metrics["eodd_paper"]


def test_the_papers_table() -> None:
    result = evaluate(make(), "sex", 0.7)
    rows = paper_table(result)
    assert [row["row"] for row in rows] == ["a", "b", "Avg", "Diff"]
    assert rows[1] == {"row": "b"} | {key: result.groups["b"][key] for key in MACRO} | {
        "eopp0": None,
        "eopp1": None,
        "eodd_paper": None,
        "eopp1_weighted": None,
    }
    for name in ("eopp0", "eopp1", "eodd_paper", "eopp1_weighted"):
        assert rows[0][name] == result.metrics[name]
    assert rows[2]["f1"] == result.metrics["f1"]
    assert rows[3]["recall"] == result.metrics["recall_diff"]


def test_bad_questions() -> None:
    predictions = make()
    with pytest.raises(UserError, match="there is no column of an attribute 'age'"):
        evaluate(predictions, "age", 0.7)
    with pytest.raises(UserError, match=r"threshold 1.5 is out of range"):
        evaluate(predictions, "sex", 1.5)
    predictions.split[0] = "tes"
    with pytest.raises(UserError, match=r"the rows are of several splits \(tes, val\)"):
        evaluate(predictions, "sex", 0.7)


def test_a_file_is_evaluated_without_torch(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("label,prediction,sex\na,a,f\nb,b,m\na,b,m\nb,a,f\n")
    code = (
        "import sys, fairexit.metrics\n"
        "from fairexit.evaluation.evaluate import evaluate\n"
        "from fairexit.predictions.files import read_predictions\n"
        "print(evaluate(read_predictions(sys.argv[1]), 'sex', None).metrics['accuracy'])\n"
        "heavy = {'torch', 'lightning', 'torchmetrics'} & sys.modules.keys()\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0.5\n", "")

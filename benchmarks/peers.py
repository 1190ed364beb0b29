"""Time of statistics, early exit and decoding beside other packages that answer the same question.

    pip install 'fairexit[bench]'
    python benchmarks/one_table.py --only peers

Statistics get the same table: 5,000 images and two groups. fairexit computes all its metrics of
counts and their BCa intervals at once; the peers compute the few metrics that are named. What is
not installed is said in the table. All times are seconds of the CPU.
"""

import io
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import PurePath
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from fairexit.auditing.settings import AuditSettings
from fairexit.auditing.slices import search_slices
from fairexit.auditing.source import Source
from fairexit.data.images import MAX_PIXELS, decode_content
from fairexit.evaluation.policy import Policy
from fairexit.inference.early_exit import early_exit
from fairexit.metrics.record import METRICS
from fairexit.models import create_model
from fairexit.predictions.data import Predictions
from fairexit.stats.bootstrap import bootstrap
from fairexit.stats.sample import Sample
from timing import Row, alternate

IMAGES, DRAWS, FEW, SIZE = 5_000, 10_000, 50, 64
Work = Callable[[], object]


def draw(classes: int) -> Sample:
    """Random answers, of which seven in ten are right; every image is a cluster of its own."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, IMAGES)
    answers = np.where(rng.random(IMAGES) < 0.7, labels, rng.integers(0, classes, IMAGES))
    return Sample(
        labels=labels,
        answers=answers[None],
        groups=rng.integers(0, 2, IMAGES),
        clusters=np.full(IMAGES, ""),
        num_classes=classes,
        num_groups=2,
    )


def intervals(sample: Sample, draws: int) -> None:
    """BCa intervals of all metrics of counts."""
    drawn = bootstrap(sample, n_resamples=draws)
    for name in METRICS:
        drawn.interval(name)


def with_fairlearn(sample: Sample, draws: int) -> Work:
    """Accuracy and macro recall by group, with percentile intervals."""
    from fairlearn.metrics import MetricFrame
    from sklearn.metrics import accuracy_score, recall_score

    metrics = {"accuracy": accuracy_score, "recall": partial(recall_score, average="macro")}
    return lambda: (
        MetricFrame(
            metrics=metrics,
            y_true=sample.labels,
            y_pred=sample.answers[0],
            sensitive_features=sample.groups,
            n_boot=draws,
            ci_quantiles=[0.025, 0.975],
            random_state=0,
        ).by_group_ci
    )


def with_model_auditor(sample: Sample, draws: int) -> Work:
    """Sensitivity, specificity and F1 by group, of two classes."""
    from model_auditor import Auditor
    from model_auditor.metrics import F1Score, Sensitivity, Specificity

    frame = pd.DataFrame(
        {
            "group": np.array(["a", "b"])[sample.groups],
            "score": sample.answers[0].astype(float),
            "label": sample.labels,
        }
    )
    auditor = Auditor()
    auditor.add_data(frame)
    auditor.add_feature(name="group")
    auditor.add_score(name="score", threshold=0.5)
    auditor.add_outcome(name="label")
    auditor.set_metrics([Sensitivity(), Specificity(), F1Score()])
    return lambda: auditor.evaluate_metrics(score_name="score", n_bootstraps=draws)


def with_confidenceinterval(sample: Sample, draws: int) -> Work:
    """Macro F1 of all images, with a percentile interval; BCa adds one evaluation per image."""
    from confidenceinterval.takahashi_methods import macro_f1_score_bootstrap

    labels, answers = sample.labels, sample.answers[0]
    return lambda: macro_f1_score_bootstrap(
        labels, answers, method="bootstrap_percentile", n_resamples=draws
    )


def statistics(quick: bool) -> Iterator[Row]:
    """Bootstrap intervals, per draw."""
    ours, few = (200, 5) if quick else (DRAWS, FEW)
    peers = [
        ("fairlearn", "accuracy, recall by group", 8, with_fairlearn),
        ("model-auditor", "sensitivity, specificity, F1 by group", 2, with_model_auditor),
        ("confidenceinterval", "macro F1", 8, with_confidenceinterval),
    ]
    for package, what, classes, prepare in peers:
        sample = draw(classes)
        runs: dict[str, Work] = {"ours": partial(intervals, sample, ours)}
        if is_installed(package):
            runs["theirs"] = prepare(sample, few)
        seconds = alternate(runs, 1 if quick else 3, process_time)
        yield Row(
            f"bootstrap of {len(METRICS)} metrics, {classes} classes, per draw",
            [s / ours for s in seconds["ours"]],
            f"{package} ({what})",
            [s / few for s in seconds.get("theirs", [])],
        )


def slices(quick: bool) -> Iterator[Row]:
    """A search for the slices of one or two attribute values with the most errors."""
    sample, rng = draw(8), np.random.default_rng(1)
    count = 3 if quick else 8
    values = {f"a{k}": rng.integers(0, 5, IMAGES) for k in range(count)}
    predictions = Predictions(
        ids=np.arange(IMAGES).astype(str),
        clusters=sample.clusters,
        split=np.full(IMAGES, "test"),
        labels=sample.labels.astype(np.int64),
        attributes=values,
        group_names={name: tuple("abcde") for name in values},
        classes=tuple("abcdefgh"),
        probabilities=None,
        exit_names=("f",),
        given=sample.answers[0].astype(np.int64),
    )
    source = Source("drawn", predictions, Policy(None))
    runs: dict[str, Work] = {"ours": lambda: search_slices(source, AuditSettings())}
    if is_installed("sliceline"):
        from sliceline import Slicefinder

        errors = (sample.answers[0] != sample.labels).astype(float)
        table = np.stack([*values.values()], 1) + 1
        runs["theirs"] = lambda: Slicefinder(k=10, max_l=2, min_sup=30, verbose=False).fit(
            table, errors
        )
    seconds = alternate(runs, 1 if quick else 3, process_time)
    what = f"slices of up to 2 of {count} attributes, each tested"
    yield Row(what, seconds["ours"], "sliceline (no test, no Numba)", seconds.get("theirs", ()))


def exits(quick: bool) -> Iterator[Row]:
    """Early exit of a ResNet-18 after stages 2 and 3, where no image leaves, per image."""
    torch.manual_seed(0)
    net = create_model("resnet18", 8, exits=[2, 3], image_size=SIZE).eval()
    for batch in [1] if quick else [1, 64]:
        images = torch.rand(batch, 3, SIZE, SIZE)
        runs: dict[str, Work] = {"ours": partial(early_exit, net, images, [1.0, 1.0])}
        if is_installed("earlyon"):
            runs["theirs"] = with_earlyon(images)
        with torch.inference_mode():
            seconds = alternate(runs, 2 if quick else 15, process_time)
        what = f"early exit, no image leaves, batch {batch}, per image"
        yield Row(what, seconds["ours"], "earlyon", seconds.get("theirs", ()), batch)


def with_earlyon(images: torch.Tensor) -> Work:
    """A ResNet-18 of the same stages; no image of random weights is confident enough."""
    from earlyon.models.resnet_ee import resnet18_ee

    net: Any = resnet18_ee(8, pretrained=False).eval()
    return partial(net if len(images) == 1 else net.forward_inference_batched, images)


def decoding(quick: bool) -> Iterator[Row]:
    """A JPEG file of 600 px to 64 px, with all checks."""
    coarse = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize((600, 600)).save(stream, "JPEG")
    content, number = stream.getvalue(), 5 if quick else 100

    def ours() -> None:
        for _ in range(number):
            decode_content(content, PurePath("a.jpg"), SIZE, "squash", max_pixels=MAX_PIXELS)

    runs: dict[str, Work] = {"ours": ours}
    if is_installed("simplejpeg"):
        from simplejpeg import decode_jpeg

        def theirs() -> None:
            # Decoded at a quarter of the size, as fairexit does.
            for _ in range(number):
                Image.fromarray(
                    decode_jpeg(content, min_height=2 * SIZE, min_width=2 * SIZE)
                ).resize((SIZE, SIZE), Image.Resampling.BILINEAR)

        runs["theirs"] = theirs
    seconds = alternate(runs, 1 if quick else 5, process_time)
    what = "a JPEG file of 600 px to 64 px, with checks and checksum"
    yield Row(what, seconds["ours"], "simplejpeg and Pillow", seconds.get("theirs", ()), number)


def is_installed(package: str) -> bool:
    """Whether a package can be imported."""
    return find_spec(package.replace("-", "_")) is not None


def compare(quick: bool) -> Iterator[Row]:
    """Rows of `make bench`."""
    for part in (statistics, slices, exits, decoding):
        yield from part(quick)

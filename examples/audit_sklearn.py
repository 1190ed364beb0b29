"""Audit a scikit-learn model from arrays.

    python examples/audit_sklearn.py --out report.html

The data are random. The older group's features are noisier, so a single classifier for both groups
makes more errors in that group.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

import fairexit


def draw(patients: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw two visits of each patient: features, labels, age groups and patient numbers."""
    rng = np.random.default_rng(seed)
    ill = rng.random(patients) < 0.3
    old = rng.random(patients) < 0.4
    patient = np.repeat(np.arange(patients), 2)
    signal = np.outer(ill, [1.5, 1.0, 0.5])[patient]
    noise = rng.normal(size=(len(patient), 3)) * np.where(old, 2.5, 1.0)[patient, None]
    label = np.where(ill, "ill", "well")[patient]
    return signal + noise, label, np.where(old, "old", "young")[patient], patient


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    x, y, *_ = draw(600, seed=0)
    model = LogisticRegression().fit(x, y)
    x, y, age, patient = draw(800, seed=1)
    report = fairexit.audit(
        label=y,
        probabilities=model.predict_proba(x),
        classes=model.classes_,
        groups={"age": age},
        cluster=patient,
        positive="ill",
        name="logistic regression",
    )
    print("\n".join(report.summary))
    print(report.to_frame().query("metric == 'sensitivity'").to_string(index=False))
    if options.out:
        report.save(options.out)


if __name__ == "__main__":
    main()

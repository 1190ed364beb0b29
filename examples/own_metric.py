"""Your own metric in one file: the gap between groups in the class where it is largest.

Copy and change this file, and give it to each command that needs the metric:

    fairexit audit predictions.csv --group sex --plugin own_metric.py
    fairexit evaluate runs/own --plugin own_metric.py --rule worst_tpr_gap

The metric is then in every table and report, with an interval and a test. Run as a script, the file
measures a few labels:

    python own_metric.py
"""

import numpy as np

from fairexit.metrics import gap, group_confusion_matrix, tpr
from fairexit.metrics.rates import Values, range_known


@gap("worst_tpr_gap", label="Worst TPR gap", rates=[tpr])
def worst_tpr_gap(tpr_values: Values) -> Values:
    """Maximum over classes of the range of TPR over groups.

    Args:
        tpr_values: (..., M, C) true positive rates by group and class; NaN where there are none.
    """
    # fmax skips the classes that fewer than two groups have.
    return np.fmax.reduce(range_known(tpr_values, -2), axis=-1)


def main() -> None:
    y_true = ["nevus"] * 6 + ["melanoma"] * 6
    y_pred = ["nevus"] * 6 + ["melanoma", "nevus"] * 2 + ["melanoma"] * 2
    sex = ["female", "male"] * 6
    counts = group_confusion_matrix(y_true, y_pred, sensitive_features=sex)
    print(f"{worst_tpr_gap.label}: {worst_tpr_gap(counts):.3f}")


if __name__ == "__main__":
    main()

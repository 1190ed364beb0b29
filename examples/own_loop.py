"""Measure fairness in your own training loop, then audit the final predictions.

    python examples/own_loop.py

`GroupFairness` accumulates counts batch by batch, like any other metric of torchmetrics.
"""

import torch
from torch import Tensor, nn

import fairexit
from fairexit.metrics import GroupFairness

CLASSES, GROUPS = ("nevus", "melanoma", "other"), ("female", "male")


def draw(n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw features, labels and groups; the second group's features are noisier."""
    torch.manual_seed(seed)
    labels, groups = torch.randint(3, (n,)), torch.randint(2, (n,))
    noise = torch.randn(n, 8) * (1 + groups[:, None])
    return nn.functional.one_hot(labels, 8) * 2.0 + noise, labels, groups


def main() -> None:
    x, y, _ = draw(3000, seed=0)
    test_x, test_y, test_groups = draw(1500, seed=1)
    net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    fairness = GroupFairness(num_classes=3, num_groups=2)
    for epoch in range(5):
        for rows in torch.randperm(len(x)).split(128):
            loss = nn.functional.cross_entropy(net(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        fairness.reset()
        with torch.inference_mode():
            for rows in torch.arange(len(test_x)).split(256):
                fairness.update(net(test_x[rows]), test_y[rows], test_groups[rows])
        values = fairness.compute()
        print(
            f"epoch {epoch + 1}: accuracy {values['accuracy']:.3f}, Eopp1 {values['eopp1']:.3f} "
            f"(by images {values['eopp1_weighted']:.3f})"
        )
    with torch.inference_mode():
        probabilities = net(test_x).softmax(1).numpy()
    report = fairexit.audit(
        label=[CLASSES[i] for i in test_y],
        probabilities=probabilities,
        classes=CLASSES,
        groups={"sex": [GROUPS[i] for i in test_groups]},
    )
    print("\n".join(report.summary))


if __name__ == "__main__":
    main()

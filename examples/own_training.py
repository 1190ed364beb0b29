"""Train a multi-exit network in your own loop, make a run of it, and audit, prune and use it.

    python examples/own_training.py

`save_run` writes the same folder as `fairexit train`, so every command works on it.
"""

from pathlib import Path

import torch
from torch.nn import functional as F

import fairexit


def main() -> None:
    data = fairexit.prepare("synthetic", out="data/drawn", size=28, options={"images": 1200})
    images, labels = torch.tensor(data.images[:]), torch.tensor(data.labels)
    rows = torch.tensor(data.rows("train"))

    torch.manual_seed(0)
    net = fairexit.create_model("resnet18", len(data.classes), exits=[2, 4])
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    for epoch in range(4):
        for batch in rows[torch.randperm(len(rows))].split(32):
            x = images[batch].permute(0, 3, 1, 2) / 255
            loss = torch.stack([F.cross_entropy(exit.logits, labels[batch]) for exit in net(x)])
            optimizer.zero_grad()
            loss.mean().backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss {loss.mean():.3f}")

    run = fairexit.save_run(net, data, "runs/mine", settings={"train.lr": 1e-3})
    fairexit.predict(run)
    assessed = fairexit.evaluate(run)
    print(f"macro F1 {assessed.evaluation.metrics['f1']:.3f}")
    print("\n".join(fairexit.audit(run.path).summary))
    fairexit.prune(run, "runs/mine-pruned", ratio=0.2, steps=1, images=32)
    print(fairexit.load_model(Path("runs/mine"))(data.images[:2])[["prediction", "exit"]])


if __name__ == "__main__":
    main()

"""Train a torchvision model in plain torch, write its predictions to a file, and audit the file.

    python examples/audit_torchvision.py --out report.html

The images are synthetic (see `fairexit prepare synthetic`); replace them and the model by your own.
The audit needs only the file of predictions, neither torch nor the model.
"""

import argparse
import tempfile
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

import fairexit
from fairexit.data.datasets import datasets
from fairexit.data.prepare import PrepareOptions, prepare
from fairexit.data.prepared import Prepared


def tensors(data: Prepared, split: str) -> tuple[Tensor, Tensor]:
    """Images (N, 3, H, W) from 0 to 1, and labels (N,), of a split."""
    rows = data.rows(split)
    images = torch.tensor(data.images[rows]).permute(0, 3, 1, 2) / 255
    return images, torch.tensor(data.labels[rows])


def fit(data: Prepared, epochs: int) -> nn.Module:
    """Train a ResNet-18 on the training split."""
    torch.manual_seed(0)
    net = torchvision.models.resnet18(num_classes=len(data.classes))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    images, labels = tensors(data, "train")
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(64):
            loss = nn.functional.cross_entropy(net(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net.eval()


@torch.inference_mode()
def write_predictions(net: nn.Module, data: Prepared, path: Path) -> None:
    """Write labels, attributes and class probabilities of validation and test to a Parquet file."""
    parts = []
    for split in ("val", "test"):
        images, _ = tensors(data, split)
        part = data.frame.iloc[data.rows(split)][["id", "label", "cluster", *data.attributes]]
        probabilities = net(images).softmax(1).numpy()
        for c, name in enumerate(data.classes):
            part[f"p/{name}"] = probabilities[:, c]
        parts.append(part.assign(split=split))
    import pandas as pd

    pd.concat(parts).to_parquet(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        drawn = datasets.create("synthetic", images=options.images, seed=0, dark_share=0.3)
        data = prepare(
            "synthetic", drawn, None, Path(folder) / "data", options=PrepareOptions(size=32)
        )
        file = Path(folder) / "predictions.parquet"
        write_predictions(fit(data, options.epochs), data, file)
        report = fairexit.audit(file, groups=["skin_tone"], positive=data.classes[0])
    print("\n".join(report.summary))
    if options.out:
        report.save(options.out)


if __name__ == "__main__":
    main()

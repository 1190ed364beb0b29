"""A finished run as a classifier of images, with early exit by its policy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fairexit.data.folder import check_new, new_folder
from fairexit.errors import UserError
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.theta import theta_name
from fairexit.hub.card import check_license
from fairexit.hub.folder import SHARED, check_shared, write_shared
from fairexit.hub.transfer import check_upload, download, upload
from fairexit.inference.answers import AnswerForm, Answers, BatchClassifier
from fairexit.inference.early_exit import answer_early
from fairexit.inference.exported import ExportedClassifier
from fairexit.inference.exported import load_model as load_exported
from fairexit.inference.images import AnyImage, as_list, to_network, to_tensor
from fairexit.inference.inputs import stored_policy
from fairexit.inference.predict import choose_device
from fairexit.models import ExitNet
from fairexit.plugins import load_plugins
from fairexit.runs import Run, open_run
from fairexit.runtime.early_exit import EarlyExit, Traced
from fairexit.training.checkpoint import load_net


@dataclass(frozen=True, eq=False)
class Classifier(BatchClassifier):
    """A classifier of images, which `load_model` returns.

    Attributes:
        net: the network in evaluation mode.
        policy: the rule by which an image leaves at an exit.
        classes: C names.
        costs: multiply-adds of one image that leaves at each exit, the final one last.
        size: side of the network's images in pixels.
        fit: how images are brought to that size, `squash` or `crop`, as in the run's data.
        run: the run.
    """

    net: ExitNet
    policy: Policy
    classes: tuple[str, ...]
    costs: tuple[float, ...]
    size: int
    fit: str
    run: Run

    def __repr__(self) -> str:
        exits, theta = ", ".join(self.net.exit_names), theta_name(self.policy.theta)
        return (
            f"Classifier({self.net.config['name']} with exits {exits}; "
            f"{len(self.classes)} classes, images of {self.size} px, theta {theta})"
        )

    @property
    def form(self) -> AnswerForm:
        return AnswerForm(self.classes, self.net.exit_names, self.costs, self.policy.sets)

    @property
    def device(self) -> str:
        return str(next(self.net.parameters()).device)

    def trace(self, pixels: NDArray[np.uint8]) -> Traced:
        """Answer images of the network's size, with the probabilities of every exit on the way.

        Args:
            pixels: (B, size, size, 3), at least one.
        """
        device = next(self.net.parameters()).device
        images = torch.stack([to_tensor(image) for image in pixels]).to(device)
        shape = len(pixels), len(self.net.exit_names), len(self.classes)
        exits = np.full(shape, np.nan, np.float32)

        def note(number: int, rows: Tensor, probabilities: Tensor) -> None:
            exits[rows.cpu().numpy(), number] = probabilities.cpu().numpy()

        answers = answer_early(self.net, images, self.policy, note)
        return Traced(EarlyExit(*answers.arrays()), exits)

    def as_list(self, images: AnyImage | Iterable[AnyImage]) -> list[AnyImage]:
        return as_list(images)

    def answer(self, images: Sequence[AnyImage]) -> tuple[Answers | None, list[str]]:
        inputs = [to_network(image, self.size, self.fit) for image in images]
        tensors = [image for image in inputs if isinstance(image, Tensor)]
        problems = ["" if isinstance(image, Tensor) else image for image in inputs]
        if not tensors:
            return None, problems
        answers = answer_early(self.net, torch.stack(tensors).to(self.device), self.policy)
        return Answers(*answers.arrays()), problems

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        device: str = "auto",
        plugins: Sequence[str | Path] = (),
    ) -> "Classifier":
        """Load a model from the Hugging Face Hub or a folder. Nothing in it is run as code.

        Args:
            pretrained_model_name_or_path: a repository, `user/model`, or a folder, which is taken
                if it exists.
            revision: branch, tag or commit of the repository; by default its newest state.
            token: an access token, for private models; by default the stored one.
            cache_dir: folder of downloads; by default that of huggingface_hub.
            force_download: whether to download files that the cache has.
            local_files_only: whether to use the cache alone, without the network.
            device: as for `load_model`.
            plugins: as for `load_model`.
        Raises:
            UserError: there is no such model, it is not a run of fairexit, or the Hub cannot be
                reached.
        """
        name = str(pretrained_model_name_or_path)
        folder = Path(name)
        if not folder.is_dir():
            if isinstance(pretrained_model_name_or_path, Path):
                raise UserError(f"there is no folder {name}")
            folder = download(
                name,
                SHARED,
                revision=revision,
                token=token,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
            )
        check_shared(folder, name)
        model = load_model(folder, device, plugins=plugins)
        if not isinstance(model, Classifier):
            raise UserError(f"{name} is an export; open it with fairexit.load_model")
        return model

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        license: str | None = None,
        card: str | None = None,
    ) -> None:
        """Write the model into a folder that `from_pretrained` and every command read.

        Args:
            save_directory: the folder to make.
            license: identifier of the license of the weights, such as `mit`; without it the model
                card says that the license is not stated.
            card: the model card in Markdown; by default the run's `README.md`, or a short one.
        Raises:
            UserError: the folder exists, or the network or policy was changed since it was loaded.
        """
        out = Path(save_directory)
        check_new(out)
        check_license(license)
        self._check_unchanged()
        with new_folder(out) as folder:
            write_shared(self.run, folder, name=str(out), license=license, card=card)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        commit_message: str = "Upload a model of fairexit",
        token: str | None = None,
        license: str | None = None,
        card: str | None = None,
    ) -> str:
        """Upload the model to the Hugging Face Hub.

        Uploaded are the weights, the description, the settings, the policy, the metrics and the
        model card; never predictions, checkpoints, images or logs.

        Args:
            repo_id: the repository, `user/model`, which is made if it does not exist.
            private: whether a new repository is private; by default as the account is set.
            commit_message: the message of the commit.
            token: an access token; by default the stored one.
            license: as for `save_pretrained`.
            card: as for `save_pretrained`.
        Returns:
            The address of the repository.
        Raises:
            UserError: the name is malformed, there is no token, the Hub cannot be reached or
                refuses, or the network or policy was changed since it was loaded.
        """
        check_upload(repo_id, token)
        check_license(license)
        self._check_unchanged()
        with TemporaryDirectory() as folder:
            write_shared(self.run, Path(folder), name=repo_id, license=license, card=card)
            return upload(
                Path(folder),
                repo_id,
                private=private,
                commit_message=commit_message,
                token=token,
            )

    def _check_unchanged(self) -> None:
        """Raise a UserError if the network or policy is not the run's, as card and metrics are."""
        stored, current = load_net(self.run).state_dict(), self.net.state_dict()
        is_same = stored.keys() == current.keys() and all(
            torch.equal(tensor, current[key].cpu()) for key, tensor in stored.items()
        )
        if not is_same or stored_policy(self.run) != self.policy:
            raise UserError(
                f"the network or policy was changed since it was loaded from {self.run.path}, so "
                "the metrics and the card do not describe it; save the network as a run with "
                "fairexit.save_run, evaluate that and load it"
            )


def load_model(
    path: str | Path, device: str = "auto", *, plugins: Sequence[str | Path] = ()
) -> Classifier | ExportedClassifier:
    """Load a finished and evaluated run, or an export of one, as a classifier.

    Args:
        path: the run's folder; of its files, `config.json`, `model.safetensors` and `policy.json`
            are needed. Or the folder of an export in ONNX.
        device: where to compute: `auto`, `cpu`, `cuda` and so on.
        plugins: Python files that define the head or backbone, if the run was trained with your
            own. Code that a run's files name is never imported.
    Raises:
        UserError: the run is not finished or has no policy yet, there is no such device, a plugin
            is missing, or a file of an export is not the one that was exported.
    """
    load_plugins(plugins)
    run = open_run(Path(path))
    if run.is_export:
        return load_exported(run.path, device)
    info = run.description
    return Classifier(
        net=load_net(run).to(choose_device(device)),
        policy=stored_policy(run),
        classes=tuple(info["label2id"]),
        costs=run.exit_costs,
        size=info["preprocessing"]["size"],
        fit=info["preprocessing"]["fit"],
        run=run,
    )

"""The functions with which a run leaves: export and push."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fairexit.api.common import Plugins, as_run
from fairexit.api.judgement import audit
from fairexit.errors import UserError, option
from fairexit.extras import require
from fairexit.plugins import load_plugins
from fairexit.runs import Run

if TYPE_CHECKING:
    from fairexit.exporting.folder import Export
    from fairexit.exporting.request import Form


def export(
    run: str | Path | Run,
    out: str | Path,
    *,
    form: "Form" = "staged",
    int8: bool = False,
    card: str | Path | None = None,
    data: str | Path | None = None,
    plugins: Plugins = (),
) -> "Export":
    """Export a run as ONNX graphs or as a program of torch.export.

    The result is checked against PyTorch on all validation images. `fairexit.runtime` runs it
    without torch, and `predict` takes it like a run.

        fairexit.export("runs/me", "exports/me")

    Args:
        run: a finished and evaluated run or its folder.
        out: the folder to make.
        form: `staged` (one ONNX graph for each exit, so that images that have left cost nothing
            more), `all-exits` (one ONNX graph), or `torch-export`.
        int8: whether to quantise the ONNX graphs to 8 bits, calibrated on training images, with an
            audit of what that does to each group on validation.
        card: a file with the model card; by default it is made from an audit of the test split.
        data: prepared data to use instead of the run's own.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
    Raises:
        UserError: no finished run with a policy, the network cannot be converted, the export does
            not answer as PyTorch does, or a group loses by 8 bits. No files are left behind.
    """
    require("export", "fairexit.export")
    load_plugins(plugins)
    opened, folder = as_run(run), Path(out)
    written = None if card is None else Path(card)
    prepared = None if data is None else Path(data)
    from fairexit.exporting.request import check_request

    check_request(opened, folder, form=form, int8=int8, card=written, data=prepared)
    from fairexit.report.model_card import render_card

    text = render_card(audit(opened.path)) if written is None else written.read_text("utf-8")
    from fairexit.exporting.folder import export as export_run

    return export_run(opened, folder, form=form, int8=int8, card=text, data=prepared)


def push(
    run: str | Path | Run,
    repo_id: str,
    *,
    private: bool | None = None,
    license: str | None = None,
    card: str | Path | None = None,
    commit_message: str = "Upload a model of fairexit",
    token: str | None = None,
    plugins: Plugins = (),
) -> str:
    """Upload a run to the Hugging Face Hub, with a model card from an audit of its test split.

    Uploaded are the weights, the description, the settings, the policy, the metrics and the model
    card; never predictions, checkpoints, images or logs.

        fairexit.push("runs/me", "user/model", private=True, license="cc-by-nc-4.0")

    Args:
        run: a finished and evaluated run or its folder.
        repo_id: the repository, `user/model`, which is made if it does not exist.
        private: whether a new repository is private; by default as the account is set.
        license: identifier of the license of the weights, such as `mit`; without it the card says
            that the license is not stated.
        card: a file with the model card; by default the run's `README.md` or, without one, a card
            that is made from an audit of the test split.
        commit_message: the message of the commit.
        token: an access token; by default the stored one.
        plugins: Python files that register methods, datasets, metrics and so on of your own.
    Returns:
        The address of the repository.
    Raises:
        UserError: no finished run with a policy, a malformed name, no token, or the Hub cannot be
            reached or refuses.
    """
    require("hub", "fairexit.push")
    load_plugins(plugins)
    opened, file = as_run(run), None if card is None else Path(card)
    from fairexit.hub.card import check_license
    from fairexit.hub.folder import CARD, write_shared
    from fairexit.hub.transfer import check_upload, upload
    from fairexit.inference.inputs import stored_policy

    check_license(license)
    if file is not None and not file.is_file():
        raise UserError(f"{option('card')} is '{file}', which is not a file")
    stored_policy(opened)
    check_upload(repo_id, token)
    text = None if file is None else file.read_text("utf-8", errors="replace")
    if text is None and not opened.is_export and not (opened.path / CARD).is_file():
        from fairexit.report.model_card import render_card

        text = render_card(audit(opened.path))
    with TemporaryDirectory() as folder:
        write_shared(opened, Path(folder), name=repo_id, license=license, card=text)
        return upload(
            Path(folder), repo_id, private=private, commit_message=commit_message, token=token
        )

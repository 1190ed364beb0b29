"""fairexit push."""

from pathlib import Path
from typing import Annotated

import typer

from fairexit.commands.common import Plugins, RunPath
from fairexit.terminal import say

EXAMPLE = "fairexit push runs/me user/model --private --license cc-by-nc-4.0"


def push(
    run: RunPath,
    repository: Annotated[
        str,
        typer.Argument(
            metavar="USER/MODEL", help="The repository, which is made if it does not exist."
        ),
    ],
    *,
    private: Annotated[
        bool,
        typer.Option(
            "--private", help="Make a new repository private; without it the account decides."
        ),
    ] = False,
    license: Annotated[
        str | None,
        typer.Option(
            help="Identifier of the license of the weights, such as mit or cc-by-nc-4.0.",
            show_default="not stated, and the card says so",
        ),
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(
            help="A model card to upload, such as one completed by hand.",
            show_default="the run's README.md, or one made from an audit of its test split",
        ),
    ] = None,
    commit_message: Annotated[
        str, typer.Option(help="Message of the commit.")
    ] = "Upload a model of fairexit",
    plugins: Plugins = None,
) -> None:
    """Upload a run to the Hugging Face Hub, with its model card.

    Uploaded are the weights, config.json, config.yaml, policy.json, metrics.json and the model
    card; never predictions, checkpoints, images or logs. The access token is the one that `hf auth
    login` stored, or the environment variable HF_TOKEN; see docs/hub.md.
    """
    from fairexit.api.sharing import push as push_run

    address = push_run(
        run,
        repository,
        private=private or None,
        license=license,
        card=card,
        commit_message=commit_message,
    )
    say(f"pushed: {address}")

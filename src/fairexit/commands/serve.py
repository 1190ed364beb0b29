"""fairexit serve."""

from pathlib import Path
from typing import Annotated

import typer

from fairexit.commands.common import Device, Plugins
from fairexit.extras import require
from fairexit.terminal import say

EXAMPLE = "fairexit serve exports/me --port 8000"


def serve(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_EXPORT",
            help="Folder of a finished run, or of an export, which is served without torch.",
        ),
    ],
    *,
    host: Annotated[
        str,
        typer.Option(
            help="Interface to listen on, such as 0.0.0.0 for all; every other than the loopback "
            "needs a token."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="FAIREXIT_TOKEN",
            show_envvar=False,
            help="What every request must bring as 'Authorization: Bearer TOKEN'; read from the "
            "environment variable FAIREXIT_TOKEN, where other users cannot see it.",
            show_default="none",
        ),
    ] = None,
    max_mb: Annotated[
        float, typer.Option(help="Largest request, all its images together, in megabytes.")
    ] = 10.0,
    max_megapixels: Annotated[
        float, typer.Option(help="Largest image, checked before it is decoded.")
    ] = 50.0,
    max_files: Annotated[int, typer.Option(help="Most images of a request.")] = 32,
    threads: Annotated[
        int | None,
        typer.Option(
            help="Threads of the network.", show_default="as onnxruntime or torch chooses"
        ),
    ] = None,
    device: Device = "auto",
    plugins: Plugins = None,
) -> None:
    """Serve a model over HTTP: a page to try it on, and answers as JSON.

    Nothing that is sent is stored. This is no diagnostic device; see docs/serve.md.
    """
    require("serve", "fairexit serve")
    from fairexit.serving.app import create_app
    from fairexit.serving.limits import Limits
    from fairexit.serving.served import open_served
    from fairexit.serving.server import address, listen
    from fairexit.serving.server import serve as serve_app

    limits = Limits.of(max_mb=max_mb, max_megapixels=max_megapixels, max_files=max_files)
    with listen(host, port, token) as listening:
        served = open_served(run, threads=threads, device=device, plugins=plugins or ())
        app = create_app(served, limits, token)
        line = f"{served.name} ({served.form}) on {address(listening)}; stop with Ctrl+C"
        serve_app(app, listening, lambda: say(line))
    say("stopped")

"""The application: the page, the answers, and what is served."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import PurePath
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.requests import ClientDisconnect

from fairexit.data.images import decode_content
from fairexit.errors import reason, short
from fairexit.serving.access import Access
from fairexit.serving.answers import image_answer
from fairexit.serving.batches import Batches
from fairexit.serving.body import Upload, read_uploads
from fairexit.serving.limits import FullError, Limits, Load
from fairexit.serving.page import content_security_policy, page
from fairexit.serving.schema import (
    BODY,
    Answers,
    Failure,
    Health,
    ImageAnswer,
    LimitsInfo,
    PolicyInfo,
    Version,
)
from fairexit.serving.served import Served
from fairexit.terminal import note
from fairexit.version import __version__

DECODERS = 4
"""Threads that decode images."""

DESCRIPTION = (
    "Answers of a multi-exit image classifier. This is no diagnostic device, and nothing that is "
    "sent is stored."
)
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Failure, "description": "The form cannot be read or holds no file"},
    401: {"model": Failure, "description": "The token is missing or wrong"},
    403: {"model": Failure, "description": "Without a token: the request is not to localhost"},
    408: {"model": Failure, "description": "The body arrives too slowly"},
    413: {"model": Failure, "description": "The body is too large"},
    422: {"model": Answers, "description": "No image can be read; the answers say why"},
    500: {"model": Failure, "description": "The network has failed"},
    503: {
        "model": Failure,
        "description": "The server is full; Retry-After says when to ask again",
    },
}


class Service:
    """Decodes images in threads and has them answered in batches.

    Args:
        served: the model.
        limits: what a request may cost.
    """

    def __init__(self, served: Served, limits: Limits) -> None:
        self.served, self.limits = served, limits
        self.load = Load(limits)
        self._decoding = 0
        self._decoders = ThreadPoolExecutor(DECODERS, "decoder")
        self._batches = Batches(
            served.trace,
            max_batch=limits.max_batch,
            max_wait=limits.max_wait,
            more=lambda: self._decoding > 0,
        )

    @asynccontextmanager
    async def running(self, app: FastAPI) -> AsyncGenerator[None, None]:
        """Answers batches until the application stops."""
        task = asyncio.create_task(self._batches.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self._decoders.shutdown(cancel_futures=True)

    async def answer(self, uploads: Sequence[Upload]) -> list[ImageAnswer]:
        """The answers for the images of a request."""
        images = (self._answer(number, upload) for number, upload in enumerate(uploads))
        return await asyncio.gather(*images)

    async def _answer(self, number: int, upload: Upload) -> ImageAnswer:
        served, name = self.served, PurePath(upload.filename)
        self._decoding += 1
        try:
            decoded = await asyncio.get_running_loop().run_in_executor(
                self._decoders,
                lambda: decode_content(
                    upload.content,
                    name,
                    served.size,
                    served.fit,
                    max_pixels=self.limits.max_pixels,
                ),
            )
        finally:
            self._decoding -= 1
        if decoded.pixels is None:
            return ImageAnswer(id=number, filename=upload.filename, problem=decoded.reason)
        traced = await self._batches.answer(decoded.pixels)
        return image_answer(served, number, upload.filename, traced)


def create_app(served: Served, limits: Limits | None = None, token: str | None = None) -> FastAPI:
    """The application that serves a model.

    Args:
        served: the model.
        limits: what a request may cost.
        token: what every request but that for the page and `/health` must bring; None: nothing,
            and only requests to localhost are answered.
    """
    service = Service(served, limits or Limits())
    app = FastAPI(
        title="fairexit serve",
        summary=f"The model {served.name}",
        description=DESCRIPTION,
        version=__version__,
        lifespan=service.running,
        docs_url=None,  # these pages load their scripts from elsewhere
        redoc_url=None,
    )
    app.add_middleware(Access, token=token, policy=content_security_policy())
    app.add_exception_handler(FullError, _full)
    app.add_exception_handler(ClientDisconnect, _gone)
    _add_facts(app, service)
    _add_predict(app, service)
    return app


def _add_facts(app: FastAPI, service: Service) -> None:
    """Add the page and what says something of the server."""
    served = service.served
    version = Version(
        fairexit=__version__,
        model=served.name,
        form=served.form,
        classes=list(served.classes),
        exits=list(served.exits),
        size=served.size,
        fit=served.fit,
        weights=dict(served.weights),
        policy=PolicyInfo.model_validate(served.policy),
        limits=LimitsInfo.model_validate(service.limits),
    )

    @app.get("/", response_class=HTMLResponse, summary="The page to try the model on")
    async def index() -> HTMLResponse:
        return HTMLResponse(page())

    @app.get("/health", summary="Whether the server runs")
    async def health() -> Health:
        return Health()

    @app.get("/version", summary="What is served", responses={401: REFUSALS[401]})
    async def show_version() -> Version:
        return version


def _add_predict(app: FastAPI, service: Service) -> None:
    """Add the answers for images."""

    @app.post(
        "/predict",
        summary="Answer images",
        description="Takes a form with one or several files, or one image as the whole body.",
        response_model=Answers,
        responses=REFUSALS,
        openapi_extra={"requestBody": BODY},
    )
    async def predict(request: Request) -> Response:
        with service.load.request() as held:
            uploads = await read_uploads(request, service.limits, held)
            held.add_images(len(uploads))
            try:
                answers = await service.answer(uploads)
            except Exception as error:  # of the network; one line in place of a traceback
                note(f"fairexit serve: the network has failed: {short(reason(error), 200)}")
                raise HTTPException(500, "the network has failed on these images") from None
        status = 422 if all(answer.problem for answer in answers) else 200
        content = Answers(answers=answers).model_dump_json()
        return Response(content, status, media_type="application/json")


async def _full(request: Request, error: Exception) -> JSONResponse:
    headers = {"Retry-After": "1", "Connection": "close"}
    return JSONResponse({"detail": "the server is full; try again in a second"}, 503, headers)


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it

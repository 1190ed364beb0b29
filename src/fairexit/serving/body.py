"""Reading the images of a request within limits, into memory only."""

import asyncio
from collections.abc import AsyncGenerator
from typing import NamedTuple

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from fairexit.serving.limits import Held, Limits

MAX_FIELD = 10_000
"""Bytes of a form's field that is not a file, of which there need be none."""

CLOSE = {"Connection": "close"}
"""Sent where the rest of a body is not read."""


class Upload(NamedTuple):
    """An image as it was sent.

    Attributes:
        filename: its name, empty if it was sent without one.
        content: its bytes.
    """

    filename: str
    content: bytes


class _InMemory(MultiPartParser):
    """A parser that never moves a file to the disk, whatever its size."""

    spool_max_size = 0


async def read_uploads(request: Request, limits: Limits, held: Held) -> list[Upload]:
    """The images of a request: those of a form, or the whole body.

    Args:
        request: whose body has not been read.
        limits: of the body.
        held: counts the bytes as they arrive.
    Raises:
        HTTPException: the body is too large, too slow, too many files, or no form (400, 408, 413).
        FullError: the server has no room for it.
        ClientDisconnect: the client has gone.
    """
    try:
        async with asyncio.timeout(limits.body_seconds):
            uploads = await _parse(request, limits, held)
    except TimeoutError:
        detail = f"the body did not arrive within {limits.body_seconds:g} seconds"
        raise HTTPException(408, detail, headers=CLOSE) from None
    except MultiPartException as error:
        raise HTTPException(400, f"the form cannot be read: {error.message}", CLOSE) from None
    if not uploads:
        raise HTTPException(400, "the form holds no file; send the images as files")
    return uploads


async def _parse(request: Request, limits: Limits, held: Held) -> list[Upload]:
    stream = _limited(request, limits, held)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        return [Upload("", b"".join([chunk async for chunk in stream]))]
    parser = _InMemory(
        request.headers,
        stream,
        max_files=limits.max_files,
        max_fields=limits.max_files,
        max_part_size=MAX_FIELD,
    )
    form = await parser.parse()
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    return [Upload(file.filename or "", await file.read()) for file in files]


async def _limited(request: Request, limits: Limits, held: Held) -> AsyncGenerator[bytes, None]:
    """The parts of a body as they arrive; a body that is too large is refused at once."""
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > limits.max_bytes:
        raise _too_large(limits)
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limits.max_bytes:
            raise _too_large(limits)
        held.add_bytes(len(chunk))
        yield chunk


def _too_large(limits: Limits) -> HTTPException:
    return HTTPException(413, f"the body has more than {limits.max_bytes:,} bytes", CLOSE)

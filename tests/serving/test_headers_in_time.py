"""Connections on which no request arrives are closed."""

import asyncio

import pytest
import uvicorn

from fairexit.serving import server


@pytest.mark.parametrize("first", [b"", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_headers_that_do_not_arrive_close_the_connection(first, monkeypatch):
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.1)

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def main():
        config = uvicorn.Config(app, http=server._Protocol, lifespan="off", log_level="error")
        running = uvicorn.Server(config)
        running.config.load()
        running.lifespan = config.lifespan_class(config)
        listening = server.listen("127.0.0.1", 0, None)
        await running.startup(sockets=[listening])
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(first)
        while True:  # one byte of a header at a time, for ever
            writer.write(b"G")
            try:
                async with asyncio.timeout(0.02):
                    if not await reader.read(1000):
                        break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        await running.shutdown(sockets=[listening])

    asyncio.run(asyncio.wait_for(main(), 20))

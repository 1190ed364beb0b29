"""Limits: who may ask, how much, how fast; and nothing touches the disk."""

import json
import tempfile
from dataclasses import replace

import anyio
import pytest
from served_images import content

from fairexit.errors import UserError
from fairexit.serving.app import create_app
from fairexit.serving.limits import Limits

TOKEN = "correct-horse"


def form(*contents):
    return [("files", (f"{i}.png", data)) for i, data in enumerate(contents)]


def test_a_body_that_is_too_large_is_refused_by_its_stated_length(client_of, served):
    client = client_of(served, limits=Limits(max_bytes=1000))
    reply = client.post("/predict", content=bytes(1001))
    assert reply.status_code == 413
    assert reply.json() == {"detail": "the body has more than 1,000 bytes"}
    assert reply.headers["connection"] == "close"


def test_a_body_of_unknown_length_is_refused_before_all_of_it_is_read(client_of, served):
    client = client_of(served, limits=Limits(max_bytes=1000))
    assert client.post("/predict", content=iter([bytes(600)] * 2)).status_code == 413


def ask(app, receive):
    """The status and content of the application's answer to a body that `receive` sends."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/predict", "query_string": b"",
        "headers": [(b"host", b"localhost")], "http_version": "1.1", "scheme": "http",
    }  # fmt: skip
    anyio.run(app, scope, receive, send)
    return sent[0]["status"], json.loads(sent[1].get("body") or "null")


def test_reading_stops_at_the_limit(served):
    asked = []

    async def receive():
        asked.append(1)
        return {"type": "http.request", "body": bytes(400), "more_body": True}

    assert ask(create_app(served, Limits(max_bytes=1000)), receive)[0] == 413
    assert len(asked) == 3


def test_too_many_pixels_or_files(client_of, served):
    client = client_of(served, limits=Limits(max_pixels=1000, max_files=2))
    reply = client.post("/predict", content=content(40, 30))
    assert reply.status_code == 422
    assert "40 x 30 pixels are more than 1,000" in reply.json()["answers"][0]["problem"]
    reply = client.post("/predict", files=form(b"a", b"b", b"c"))
    assert reply.status_code == 400
    assert "Too many files. Maximum number of files is 2." in reply.json()["detail"]


def test_a_form_that_is_none_or_empty(client):
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    for body in (b"rubbish", b"--x\r\n\r\n", b"--x--\r\n", b""):
        reply = client.post("/predict", content=body, headers=kind)
        assert reply.status_code == 400, body
        assert list(reply.json()) == ["detail"]
    no_boundary = {"Content-Type": "multipart/form-data"}
    reply = client.post("/predict", content=b"x", headers=no_boundary)
    assert reply.json() == {"detail": "the form cannot be read: Missing boundary in multipart."}


def test_a_form_without_files(client):
    body = b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\ntext\r\n--x--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    reply = client.post("/predict", content=body, headers=kind)
    assert reply.status_code == 400
    assert reply.json() == {"detail": "the form holds no file; send the images as files"}


def test_nothing_touches_the_disk(client, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a temporary file")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", refuse)
    large = content(1200, 900)
    assert len(large) > 3_000_000
    assert client.post("/predict", files=form(large, large)).status_code == 200


def test_a_slow_body_is_refused_in_time(served):
    """Only two parts of a body arrive, and then nothing."""
    parts = [bytes(400), bytes(400)]

    async def receive():
        if not parts:
            await anyio.sleep_forever()
        return {"type": "http.request", "body": parts.pop(), "more_body": True}

    status, body = ask(create_app(served, Limits(body_seconds=0.05)), receive)
    assert status == 408
    assert body == {"detail": "the body did not arrive within 0.05 seconds"}


def test_a_client_that_goes_away_is_no_error(served):
    async def receive():
        return {"type": "http.disconnect"}

    ask(create_app(served), receive)


def test_a_full_server_says_when_to_ask_again(client_of, served):
    for limits in (Limits(max_waiting=1), Limits(max_buffered=3000)):
        client = client_of(served, limits=limits)
        reply = client.post("/predict", files=form(content(), content()))
        assert reply.status_code == 503
        assert reply.headers["retry-after"] == "1"
        assert reply.json() == {"detail": "the server is full; try again in a second"}
        # What a refused request held is free again.
        assert client.post("/predict", content=content(10, 10)).status_code == 200


def test_a_network_that_fails_is_one_line(client_of, served, capsys):
    def fail(pixels):
        raise RuntimeError("out of\nmemory")

    reply = client_of(replace(served, trace=fail)).post("/predict", content=content())
    assert reply.status_code == 500
    assert reply.json() == {"detail": "the network has failed on these images"}
    assert capsys.readouterr().err == "fairexit serve: the network has failed: out of\n"


WRONG = [None, "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer ", "Bearer é"]
PATHS = [("GET", "/version"), ("GET", "/openapi.json"), ("POST", "/predict"), ("GET", "/nothing")]


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize("given", WRONG)
def test_without_the_token_nothing_is_said(method, path, given, client_of, served):
    client = client_of(served, token=TOKEN)
    headers = {} if given is None else {"Authorization": given.encode()}
    reply = client.request(method, path, headers=headers)
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert reply.json()["detail"].startswith("this server asks for a token")


def test_with_the_token_all_is_answered_under_any_name(client_of, served):
    client = client_of(served, token=TOKEN)
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "clinic.example"}
    assert client.get("/version", headers=headers).status_code == 200
    assert client.post("/predict", headers=headers, content=content()).status_code == 200
    assert client.get("/health").status_code == 200
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.org", ""])
def test_without_a_token_only_local_names_are_answered(host, client):
    reply = client.get("/version", headers={"Host": host})
    assert reply.status_code == 403
    assert reply.json() == {"detail": "without a token only requests to localhost are answered"}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.9.9.9:1", "[::1]:8"])
def test_local_names(host, client):
    assert client.get("/version", headers={"Host": host}).status_code == 200


def test_every_response_has_the_headers_of_safety(client):
    for reply in (client.get("/"), client.get("/nothing"), client.post("/predict", content=b"")):
        policy = reply.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"max_mb": 0.0}, r"'max_mb' is 0; it must be above 0"),
        ({"max_mb": float("nan")}, r"'max_mb' is nan; it must be above 0"),
        ({"max_megapixels": 101.0}, r"'max_megapixels' is 101; it must be above 0 and at most 100"),
        ({"max_files": 0}, r"'max_files' is 0; it must be between 1 and 256"),
    ],
)
def test_limits_are_checked(changed, message):
    with pytest.raises(UserError, match=message):
        Limits.of(**{"max_mb": 10.0, "max_megapixels": 50.0, "max_files": 32} | changed)

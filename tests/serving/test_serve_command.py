"""The command as a person starts it: addresses, tokens, signals, slow clients."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import pytest
from served_images import content

TOKEN = "correct-horse"

CODE = """
import sys
sys.argv = ["fairexit", "serve", *sys.argv[1:]]
from fairexit.cli import main
try:
    main()
finally:
    print("torch" in sys.modules, flush=True)
"""


@contextmanager
def serving(path, *words, **environment):
    """The process of the command, and its address, once it listens."""
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(path), "--port", "0", "--threads", "1", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        line = process.stdout.readline()
        assert "stop with Ctrl+C" in line, process.stderr.read()
        yield process, re.search(r"http://\S+:\d+", line)[0]
    finally:
        process.kill()
        process.communicate()


def end(process, number):
    """Send a signal; what the process printed afterwards, and its status."""
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    return out, err, process.returncode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_export_is_served_without_torch_until_a_signal(number, exported):
    with serving(exported["staged"].path) as (process, address):
        assert httpx.get(f"{address}/health", timeout=20).json() == {"status": "ok"}
        reply = httpx.post(f"{address}/predict", files=[("files", ("a.png", content()))])
        assert reply.status_code == 200
        assert reply.json()["answers"][0]["problem"] is None
        assert "server" not in reply.headers
        assert end(process, number) == ("stopped\nFalse\n", "", 0)


def test_the_token_comes_from_the_environment_and_slow_clients_block_nobody(exported):
    host = ["--host", "0.0.0.0"]
    with serving(exported["staged"].path, *host, FAIREXIT_TOKEN=TOKEN) as (process, address):
        port = int(address.rpartition(":")[2])
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
        for number, client in enumerate(slow):
            head = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
            body = f"Authorization: Bearer {TOKEN}\r\nContent-Length: 9000\r\n\r\nabc".encode()
            client.sendall(head + body if number % 2 else head)
        url = f"http://127.0.0.1:{port}"
        assert httpx.get(f"{url}/version").status_code == 401
        headers = {"Authorization": f"Bearer {TOKEN}"}
        start = time.monotonic()
        reply = httpx.post(f"{url}/predict", content=content(), headers=headers, timeout=5)
        assert reply.status_code == 200
        assert time.monotonic() - start < 5
        for client in slow:
            client.close()
        assert end(process, signal.SIGTERM)[2] == 0


def test_a_request_under_way_is_answered_before_the_server_stops(exported):
    with serving(exported["staged"].path) as (process, address):
        data, replies, begun = content(), [], threading.Event()

        def body():
            yield data[:100]
            begun.set()
            time.sleep(0.5)
            yield data[100:]

        def ask():
            replies.append(httpx.post(f"{address}/predict", content=body(), timeout=20))

        client = threading.Thread(target=ask)
        client.start()
        begun.wait(20)
        time.sleep(0.2)
        out, err, status = end(process, signal.SIGTERM)
        client.join(20)
        assert (out, err, status) == ("stopped\nFalse\n", "", 0)
        assert replies[0].status_code == 200


def test_rubbish_on_the_wire_is_refused_and_the_server_goes_on(exported):
    with serving(exported["staged"].path) as (process, address):
        port = int(address.rpartition(":")[2])
        tls, none, other = b"\x16\x03\x01" + bytes(300), b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n"
        for rubbish in (tls, none, other):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                client.sendall(rubbish)
                client.shutdown(socket.SHUT_WR)
                assert b"400" in client.recv(1000)
        large = httpx.post(f"{address}/predict", content=bytes(11_000_000), timeout=20)
        assert large.status_code == 413
        assert httpx.get(f"{address}/health").status_code == 200
        assert end(process, signal.SIGTERM)[:2] == ("stopped\nFalse\n", "")


def test_a_port_in_use_is_one_line(exported, command):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, out, error = command("serve", exported["staged"].path, "--port", port)
    assert (status, out) == (2, "")
    assert error == (
        f"fairexit: cannot listen on 127.0.0.1, port {port}: Address already in use; choose "
        "another --port or --host\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--host", "0.0.0.0"], "--host is '0.0.0.0', which others can reach; set a --token"),
        (["--host", "::"], "--host is '::', which others can reach; set a --token"),
        (["--host", "no such host", "--token", "x"], "--host is 'no such host': "),
        (["--token", ""], "--token is empty"),
        (["--token", "two words"], "--token must be of printable ASCII without blanks"),
        (["--threads", "0", "--port", "0"], "--threads is 0; it must be at least 1"),
        (["--max-mb", "0"], "--max-mb is 0; it must be above 0"),
        (["--device", "cuda", "--port", "0"], "--device is 'cuda', but exports run on the CPU"),
    ],
)
def test_wrong_options_are_one_line(words, message, exported, command, monkeypatch):
    monkeypatch.delenv("FAIREXIT_TOKEN", raising=False)
    status, out, error = command("serve", exported["staged"].path, *words)
    assert (status, out) == (2, "")
    assert error.startswith(f"fairexit: {message}")
    assert error.count("\n") == 1


def test_what_is_no_model_or_not_installed_is_one_line(tmp_path, command, monkeypatch):
    assert command("serve", tmp_path, "--port", "0")[2] == (
        f"fairexit: {tmp_path} is not a run; make one with `fairexit train`\n"
    )
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert command("serve", tmp_path)[2] == (
        "fairexit: fairexit serve needs the extra 'serve': pip install 'fairexit[serve]'\n"
    )


def test_a_run_without_torch_says_what_it_needs(judged, command, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    status, _, error = command("serve", judged.path, "--port", "0")
    assert status == 2
    assert error.startswith("fairexit: fairexit serve of a run needs the extra 'train': pip")

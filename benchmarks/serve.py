"""Throughput of `fairexit serve` at 16 clients against that of its runner offline, in one run.

A ResNet-18 with random weights, 64 px, exported in stages; half of the images leave at exit 2. Both
decode the same JPEG files and run the network with one thread. Then again with slow clients and
rubbish beside the clients.
"""

import argparse
import hashlib
import http.client
import io
import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from PIL import Image

from fairexit.data.images import MAX_PIXELS, decode_content
from fairexit.evaluation.policy import Policy
from fairexit.exporting.graphs import write_graphs
from fairexit.models import create_model
from fairexit.runs import FORMAT
from fairexit.runtime.early_exit import EarlyExit
from fairexit.runtime.manifest import DIGEST, POLICY
from fairexit.runtime.model import Model, load
from timing import Row, alternate, machine, ratio, table

SIZE, CLASSES, CLIENTS, SLOW, BATCH = 64, "abcdefgh", 16, 32, 32


def write_export(folder: Path) -> None:
    """An export of a network with random weights, without a run."""
    net = create_model("resnet18", len(CLASSES)).eval()
    graphs = write_graphs(net, "staged", SIZE, folder)
    preprocessing = {"size": SIZE, "fit": "squash"}
    description = {
        "format": FORMAT,
        "data": {"name": "drawn", "checksums": {}},
        "group": "none",
        "label2id": {name: number for number, name in enumerate(CLASSES)},
        "model": {},
        "preprocessing": preprocessing,
        "run": {},
    }
    (folder / "config.json").write_text(json.dumps(description))
    manifest = {
        "format": 1,
        "form": "staged",
        "graphs": list(graphs),
        "classes": list(CLASSES),
        "exits": net.exit_names,
        "exit_costs": list(net.exit_costs(SIZE)),
        "preprocessing": preprocessing,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    set_policy(folder, Policy(None))


def set_policy(folder: Path, policy: Policy) -> None:
    """Store a policy and renew all checksums."""
    policy.save(folder / POLICY)
    file = folder / "manifest.json"
    names = [*folder.glob("*.onnx"), folder / POLICY, folder / "config.json"]
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in names}
    text = json.dumps(json.loads(file.read_text()) | {"files": files})
    file.write_text(text)
    (folder / DIGEST).write_text(f"{hashlib.sha256(text.encode()).hexdigest()}  {file.name}\n")


def draw(count: int) -> list[bytes]:
    """JPEG files of 256 px."""
    generator, files = np.random.default_rng(0), []
    for _ in range(count):
        small = generator.integers(0, 256, (24, 24, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(small).resize((256, 256), Image.Resampling.BICUBIC).save(buffer, "JPEG")
        files.append(buffer.getvalue())
    return files


def decode(files: list[bytes]) -> Any:
    """The pixels of files, as the server decodes them."""
    name = PurePath("a.jpg")
    decoded = [decode_content(f, name, SIZE, "squash", max_pixels=MAX_PIXELS) for f in files]
    return np.stack([image.pixels for image in decoded if image.pixels is not None])


def offline(model: Model, files: list[bytes]) -> list[EarlyExit]:
    """Decode and answer all files, batch by batch."""
    starts = range(0, len(files), BATCH)
    return [model.answer(decode(files[start : start + BATCH])) for start in starts]


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """The command as a process; its port."""
    words = ["serve", str(folder), "--port", "0", "--threads", "1"]
    command = [sys.executable, "-m", "fairexit", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        yield int(re.findall(r":(\d+);", line)[0])
    finally:
        process.terminate()
        process.communicate(timeout=30)


def ask(port: int, files: list[bytes]) -> list[tuple[dict[str, Any], float]]:
    """The answers to all files from 16 clients, each with the seconds that it took."""
    local = threading.local()

    def post(content: bytes) -> tuple[dict[str, Any], float]:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        start = time.perf_counter()
        local.connection.request("POST", "/predict", content, {"Content-Type": "image/jpeg"})
        reply = local.connection.getresponse()
        answer = json.loads(reply.read())["answers"][0]
        return answer, time.perf_counter() - start

    with ThreadPoolExecutor(CLIENTS) as clients:
        return list(clients.map(post, files))


@contextmanager
def disturbed(port: int) -> Iterator[None]:
    """Slow clients, which send a byte now and then, and two clients that send rubbish."""
    stop = threading.Event()
    head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 90000\r\n\r\n"
    rubbish = (
        b"\x16\x03\x01" + bytes(200),
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 8\r\n\r\n%PDF-1.7",
    )

    def slow(connections: list[socket.socket]) -> None:
        while not stop.wait(0.2):
            for connection in connections:
                with suppress(OSError):
                    connection.sendall(b"a")

    def noise(content: bytes) -> None:
        while not stop.wait(0.05):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as connection:
                connection.sendall(content)
                connection.recv(1000)

    with ExitStack() as stack:
        connections = []
        for _ in range(SLOW):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.sendall(head)
            connections.append(connection)
        threads = [threading.Thread(target=noise, args=(content,)) for content in rubbish]
        threads.append(threading.Thread(target=slow, args=(connections,)))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def check(model: Model, batches: list[EarlyExit], answers: list[dict[str, Any]]) -> float:
    """The largest difference of a confidence; ends the program if an answer differs."""
    exits, confidence = (np.concatenate([b[k] for b in batches]) for k in (1, 2))
    if [answer["exit"] for answer in answers] != [model.manifest.exits[k] for k in exits]:
        sys.exit("the server's exits are not those of the runner")
    return float(np.abs(confidence - [answer["confidence"] for answer in answers]).max())


@contextmanager
def started(images: int) -> Iterator[tuple[Model, list[bytes], int]]:
    """The runner, the JPEG files, and the port of a server of the same model."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    files = draw(images)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_export(folder)
        model = load(folder, threads=1)
        second = np.sort(model.probabilities(decode(files[:128]))[:, 1].max(-1))
        middle = len(second) // 2
        theta = float(second[middle - 1 : middle + 1].mean())
        set_policy(folder, Policy((1.0, theta, 1.0, 1.0)))
        model = load(folder, threads=1)
        with serving(folder) as port:
            yield model, files, port
    torch.set_num_threads(threads)


def compare(quick: bool) -> Iterator[Row]:
    """Rows of `make bench`."""
    with started(16 if quick else 512) as (model, files, port):
        seconds = alternate(
            {"offline": lambda: offline(model, files), "clients": lambda: ask(port, files)},
            1 if quick else 5,
        )
    what = f"serving {CLIENTS} clients, per image"
    yield Row(what, seconds["clients"], "its runner offline", seconds["offline"], len(files))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with started(options.images) as (model, files, port):
        report(model, files, port, options.rounds)


def report(model: Model, files: list[bytes], port: int, rounds: int) -> None:
    """Measure and print."""
    last: dict[str, Any] = {}

    def keep(key: str, value: Any) -> None:
        last[key] = value

    def ask_disturbed() -> None:
        with disturbed(port):
            keep("disturbed", ask(port, files))

    seconds = alternate(
        {
            "offline": lambda: keep("offline", offline(model, files)),
            "clients": lambda: keep("clients", ask(port, files)),
            "disturbed": ask_disturbed,
        },
        rounds,
    )
    rows = []
    labels = {"clients": "16 clients", "disturbed": f"with {SLOW} slow clients and rubbish"}
    middle = len(files) / statistics.median(seconds["offline"])
    rows.append([f"offline, batches of {BATCH}", f"{middle:.0f}", "1.00", "", ""])
    for key, label in labels.items():
        largest = check(model, last["offline"], [answer for answer, _ in last[key]])
        times = 1000 * np.array([took for _, took in last[key]])
        rows.append(
            [
                label,
                f"{len(files) / statistics.median(seconds[key]):.0f}",
                f"{ratio(seconds['offline'], seconds[key]):.2f}",
                f"{np.median(times):.0f} ms, {np.quantile(times, 0.95):.0f} ms",
                f"{largest:.1e}",
            ]
        )
    header = ["", "images per second", "against offline", "latency: median, 95 %", "difference"]
    print(f"Serve, {machine()}, {len(files)} images, median of {rounds} rounds\n")
    print(table(header, rows))


if __name__ == "__main__":
    main()

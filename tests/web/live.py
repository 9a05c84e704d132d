"""A page to test: the command itself in a process of its own, with a small model whose weights are random."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jax
from kill_and_resume import ROOT, environment

from configs import smoke
from facenhance_jax import settings
from facenhance_jax.runs import checkpoints

PATIENCE = 120  # seconds
COMMAND = "import sys; from facenhance_jax.cli import main; sys.exit(main())"


def small_model(folder: Path) -> Path:
    """A model of 64x64 pixels that changes the photo a little, at random."""
    config = smoke.get_config()
    config.model.update(resolution=64, low_size=64)
    params = settings.read_model(config).denoiser().init(0)
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noisy = [leaf + 0.01 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
    checkpoints.save_model(folder, jax.tree.unflatten(tree, noisy), json.loads(config.to_json()), "random\n")
    return folder


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]


class Server:
    """A running page: its address, port, the folder in which it makes its private one, and what it has printed."""

    def __init__(self, port: int, folder: Path, log: Path):
        self.port, self.folder, self.log, self.url = port, folder, log, f"http://127.0.0.1:{port}"

    @property
    def private(self) -> Path:
        (found,) = self.folder.glob("facenhance-*")
        return found

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """The status and the body of an answer; the path is sent as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host="Host" in headers)
            sent = {"Content-Length": str(len(body))} if body is not None else {}
            for name, value in (sent | headers).items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def upload(self, name: str, content: bytes) -> tuple[int, bytes]:
        part = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        body = part + content + b"\r\n--x--\r\n"
        return self.ask("/gradio_api/upload", "POST", body, Content_Type="multipart/form-data; boundary=x")

    def call(self, number: int, *data: object) -> str:
        """What the page's function with this number says, as a browser would ask it."""
        joined = dict(data=data, fn_index=number, session_hash=f"test{number}{time.monotonic_ns()}")
        json_type = dict(Content_Type="application/json")
        status, _ = self.ask("/gradio_api/queue/join", "POST", json.dumps(joined).encode(), **json_type)
        assert status == 200
        return self.ask(f"/gradio_api/queue/data?session_hash={joined['session_hash']}")[1].decode()


@contextlib.contextmanager
def serving(folder: Path, model: Path, *arguments: str) -> Iterator[Server]:
    """Runs `facenhance serve`; at the end it is told to stop, and must leave nothing behind."""
    port, private = free_port(), folder / "private"
    private.mkdir()
    # GRADIO_ALLOWED_PATHS would let Gradio give out every file, if it were read.
    trap = {"GRADIO_ALLOWED_PATHS": "/", "TMPDIR": str(private), "PYTHONPATH": str(ROOT)}
    log = folder / "log"
    with log.open("w") as file:
        command = [sys.executable, "-c", COMMAND, "serve", "--port", str(port), "--model", str(model), *arguments]
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment() | trap, cwd=folder)
    try:
        end = time.monotonic() + PATIENCE
        while "the page is at" not in log.read_text():
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        yield Server(port, private, log)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert log.read_text().endswith("the page is closed, and what was uploaded is deleted\n")
        assert not list(private.iterdir())
    finally:
        process.kill()
        process.wait()

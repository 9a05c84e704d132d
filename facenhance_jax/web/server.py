"""Serves the page from a private folder, which is gone when the server ends."""

import importlib.util
import os
import secrets
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facenhance_jax.messages import InputError

LOCAL = ("127.0.0.1", "localhost")  # hosts that only this computer reaches
KEPT = 3300  # seconds that uploads and results are kept; with the sweeps' distance it is an hour at most
SWEEPS = 300  # seconds between two sweeps
LARGEST_UPLOAD = 100 * 2**20  # bytes
UPLOADS = "uploads"  # in the private folder; Gradio's, the only one whose files are given out
RESULTS = "results"  # in the private folder; Gradio copies what it gives out


def check_installed() -> None:
    """Raises InputError if Gradio is not installed."""
    if importlib.util.find_spec("gradio") is None:
        raise InputError("the page needs Gradio, which is not installed; pip install 'facenhance-jax[web]'")


def check_port(host: str, port: int) -> None:
    """Raises InputError if nothing can listen there."""
    try:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
    except socket.gaierror:
        raise InputError(f"--host {host}: there is no such host; give an address of this computer") from None
    except OSError as error:
        what = "is in use" if error.errno == 98 else f"cannot be listened at ({error.strerror})"
        raise InputError(f"--port {port}: {what} on {host}; choose another one") from None


def run(host: str, port: int, auth: tuple[str, str] | None, model: Path | None) -> None:
    """Serves until it is interrupted. Raises InputError for a bad model."""
    from facenhance_jax.inference.enhancer import Enhancer

    print("getting the model ready", flush=True)
    enhancer = Enhancer.load(model)
    enhancer.compile()
    enhancer.at_once = 1  # a frame is shown when it is made, and a cancelled job stops after it
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with private_folder() as folder, serving(enhancer, folder, host, port, auth) as address:
        print(f"the page is at {address} (Ctrl-C ends it)", flush=True)
        while not stop.wait(SWEEPS):
            sweep(folder, KEPT)
    print("the page is closed, and what was uploaded is deleted", flush=True)


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder that only this user can enter, as working and temporary directory; removed at the end.

    Gradio gives out what its functions return from either of them.
    """
    with tempfile.TemporaryDirectory(prefix="facenhance-", ignore_cleanup_errors=True) as made:
        folder, before = Path(made).resolve(), (Path.cwd(), tempfile.tempdir)
        folder.chmod(0o700)
        os.chdir(folder)
        tempfile.tempdir = str(folder)
        try:
            yield folder
        finally:
            os.chdir(before[0])
            tempfile.tempdir = before[1]


def sweep(folder: Path, seconds: float) -> None:
    """Deletes the files in the folder and below that nobody has changed for so long, then the empty folders."""
    oldest = time.time() - seconds
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder comes before it
        try:
            if path.is_dir() and not path.is_symlink():
                if path.parent != folder and path.stat().st_mtime < oldest:
                    path.rmdir()
            elif path.lstat().st_mtime < oldest:
                path.unlink()
        except OSError:  # not empty, or gone already
            continue


@contextmanager
def serving(enhancer: object, folder: Path, host: str, port: int, auth: tuple[str, str] | None) -> Iterator[str]:
    """Serves the page in other threads as long as the block lasts; gives its address."""
    _settings(folder)
    import gradio as gr
    from gradio import processing_utils
    from starlette.middleware import Middleware

    from facenhance_jax.web import guard, page
    from facenhance_jax.web.jobs import Desk

    # A file's address holds a hash of its bytes and this; Gradio's own is in a file, the same for all its servers.
    processing_utils.hash_seed = secrets.token_bytes(32)
    local = host in LOCAL
    guarded = Middleware(
        guard.Guard, folder=folder / UPLOADS, largest=LARGEST_UPLOAD + 2**16, hosts=LOCAL if local else ()
    )
    desk = Desk()
    blocks = page.build(enhancer, desk, folder / RESULTS)
    try:
        _, address, _ = blocks.launch(
            server_name=host,
            server_port=port,
            auth=[auth] if auth else None,
            app_kwargs=dict(middleware=[guarded], docs_url=None, redoc_url=None, openapi_url=None),
            prevent_thread_lock=True,
            quiet=True,
            inbrowser=False,
            share=False,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            strict_cors=True,
            show_error=False,
            enable_monitoring=False,
            run_history=False,
            footer_links=[],
            allowed_paths=[],
            max_file_size=LARGEST_UPLOAD,
            theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
            css_paths=[Path(page.__file__).with_name("page.css")],
        )
        yield address
    finally:
        desk.close()
        blocks.close(verbose=False)


def _settings(folder: Path) -> None:
    """Gradio's settings that come by the environment, before its import: none but these."""
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ["GRADIO_TEMP_DIR"] = str(folder / UPLOADS)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"  # it asks itself at its start, and nobody else
    (folder / UPLOADS).mkdir(exist_ok=True)

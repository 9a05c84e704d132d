"""The server around the page: where it may listen, its private folder, and what it deletes when."""

import contextlib
import os
import re
import socket
import stat
import tempfile
import time
from pathlib import Path

import live
import pytest

from facenhance_jax import cli
from facenhance_jax.web import server


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0: others could use the page; say who may, with --auth user:password"),
        (["--host", "::"], "--host ::: others could use"),
        (["--auth", "alone"], "--auth: give a user and a password with a colon between them"),
        (["--auth", ":secret"], "--auth: give a user"),
        (["--auth", "me:"], "--auth: give a user"),
        (["--port", "0"], "'0' is not a whole number from 1 to 65535"),
        (["--host", "no.such.host.invalid", "--auth", "a:b"], "--host no.such.host.invalid: "),
        (["--model", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_bad_arguments_are_one_line(capfd, arguments, said, monkeypatch):
    monkeypatch.setattr(server, "run", lambda host, port, auth, model: live.checkpoints.load_config(model))
    assert cli.main(["serve", "--port", str(live.free_port()), *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == "" and re.fullmatch(r"facenhance: [^\n]+\n", err) and said in err, err


def test_a_port_in_use_and_a_missing_extra_are_one_line(capfd, monkeypatch):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        assert cli.main(["serve", "--port", str(port)]) == 2
        assert f"--port {port}: is in use on 127.0.0.1; choose another one\n" in capfd.readouterr().err
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["serve", "--port", str(port)]) == 2
    said = "facenhance: the page needs Gradio, which is not installed; pip install 'facenhance-jax[web]'\n"
    assert capfd.readouterr().err == said


def test_the_private_folder_is_the_users_alone_and_gone_at_the_end():
    before = Path.cwd(), tempfile.tempdir
    with pytest.raises(KeyError), server.private_folder() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert Path.cwd() == folder == Path(tempfile.gettempdir())
        (folder / "uploads").mkdir()
        raise KeyError
    assert not folder.exists() and (Path.cwd(), tempfile.tempdir) == before


def test_what_is_older_than_an_hour_is_deleted(tmp_path):
    assert server.KEPT + server.SWEEPS <= 3600
    old, new = time.time() - 3310, time.time() - 3290
    for name, when in (("uploads/a/old.png", old), ("uploads/b/new.png", new), ("uploads/part", old), ("top", old)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.utime(path, (when, when))
    (tmp_path / "uploads" / "link").symlink_to("/etc/passwd")
    os.utime(tmp_path / "uploads" / "link", (old, old), follow_symlinks=False)
    server.sweep(tmp_path, server.KEPT)
    os.utime(tmp_path / "uploads" / "a", (old, old))  # its file's end was a change
    server.sweep(tmp_path, server.KEPT)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "uploads",
        "uploads/b",
        "uploads/b/new.png",
    ]
    assert Path("/etc/passwd").exists()

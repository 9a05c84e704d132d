"""The page as it is served: what it answers to whom, and what it does in a real browser."""

import contextlib
import http.client
import importlib.util
import json
import shutil
import stat
from hashlib import sha256
from pathlib import Path

import live
import numpy as np
import pytest
from browser import CHROMIUM, Browser
from PIL import Image

from facenhance_jax.data.synthetic import population

in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in (apt-get install chromium)")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return live.small_model(tmp_path_factory.mktemp("model") / "small")


@pytest.fixture(scope="module")
def server(tmp_path_factory, model):
    with live.serving(tmp_path_factory.mktemp("page"), model) as server:
        yield server


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    profile = tmp_path_factory.mktemp("browser")
    with Browser(profile) as browser:
        yield browser
    shutil.rmtree(profile, ignore_errors=True)


@pytest.fixture
def no_traceback(server):
    before = server.log.read_text().count("Traceback")
    yield
    assert server.log.read_text().count("Traceback") == before


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A photo of a drawn person, one of two, a text named .jpg, and clips of 3 and of 2900 frames."""
    folder = tmp_path_factory.mktemp("files")
    (frame,), _ = population.draw_clip(population.draw_subject(7, 5), "neutral", 0, 1, 224)
    Image.fromarray(frame).save(folder / "drawn.png")
    Image.fromarray(np.hstack([frame, frame])).save(folder / "two.png")
    (folder / "text.jpg").write_text("no picture\n")
    low = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    np.save(folder / "short.npy", np.stack([low] * 3))
    np.save(folder / "long.npy", np.broadcast_to(low, (2900, 64, 64)))
    return folder


# Without a browser


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../../../../../etc/passwd",
        "/gradio_api/file={private}/uploads/../../../../../../../etc/passwd",
        "/gradio_api/file={private}/uploads/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/gradio_api/file={private}/uploads/..%2f..%2f..%2f..%2fetc/passwd",
        "/gradio_api/file={private}/uploads/link",
        "/gradio_api/file={private}/uploads",
        "/gradio_api/file={private}/results/secret.txt",
        "/gradio_api/file={private}/secret.txt",
        "/gradio_api/file=secret.txt",
        "/gradio_api/file=/proc/self/environ",
        "/gradio_api/file=/proc/self/cwd/secret.txt",
        "/gradio_api/file=file:///etc/passwd",
        "/gradio_api/file=/etc/passwd%00.png",
        "/gradio_api/file=%5c%5cserver%5cshare",
        "/gradio_api/file=http://127.0.0.1:{port}/config",
        "/gradio_api/file=https://example.org/",
        "/gradio_api/file//etc/passwd",
        "/gradio_api/proxy=http://127.0.0.1:{port}/config",
        "/gradio_api/proxy=https://example.org/",
        "/gradio_api/stream/a/b/0/etc.passwd",
        "/gradio_api/stream/a/b/0/playlist-file",
        "/gradio_api/custom_component/a/client/component/..%2f..%2f..%2fetc%2fpasswd",
        "/gradio_api/heartbeat/..%2f..%2fetc%2fpasswd",
        "/gradio_api/info",
        "/gradio_api/openapi.json",
        "/gradio_api/runs",
        "/gradio_api/mcp/",
        "/gradio_api/mcp/sse",
        "/gradio_api/vibe-code/",
        "/gradio_api/deep_link?session_hash=a",
        "/gradio_api/call/look",
        "/gradio_api/../../../../etc/passwd",
        "/static/../../../../../../../../etc/passwd",
        "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/svelte/../../../../etc/passwd",
        "/monitoring",
        "/monitoring/summary",
        "/docs",
        "/openapi.json",
        "//etc/passwd",
        "/etc/passwd",
    ],
)
def test_no_file_outside_its_folder_and_no_other_server_can_be_read(server, path):
    private = server.private
    for secret in (private / "secret.txt", private / "results" / "secret.txt"):
        secret.parent.mkdir(exist_ok=True)
        secret.write_text("root:secret\n")
    link = private / "uploads" / "link"
    if not link.is_symlink():
        link.symlink_to("/etc/passwd")
    status, body = server.ask(path.format(private=private, port=server.port))
    assert status in (400, 403, 404) and b"root:" not in body and b"dependencies" not in body, (status, body[:300])


def test_functions_that_are_not_the_pages_own_are_not_there(server):
    for path in ("run/look", "api/look", "call/look", "component_server", "process_recording", "vibe-edit", "reset"):
        assert server.ask(f"/gradio_api/{path}", "POST", b"{}", Content_Type="application/json")[0] == 404, path


def test_a_field_takes_no_file_that_was_not_uploaded_and_no_address(server):
    functions = {}
    config = json.loads(server.ask("/config")[1])
    for function in config["dependencies"]:
        functions.setdefault(function["api_name"].partition("_")[0], function["id"])
        assert function["api_visibility"] == "private"
    addresses = ("http://example.org/a.png", f"{server.url}/config")
    for place in ("/etc/passwd", f"{server.private}/secret.txt", "../../etc/passwd", *addresses):
        file = {"path": place, "url": place, "orig_name": "a.png", "meta": {"_type": "gradio.FileData"}}
        said = server.call(functions["look"], file)
        assert '"success":false' in said and "root:" not in said and "etc" not in said, said
    assert server.log.read_text().count("InputError: give a file, not an address") == len(addresses)


def test_gradios_settings_that_close_a_hole_are_on(server):
    config = json.loads(server.ask("/config")[1])
    wanted = dict(analytics_enabled=False, show_error=False, run_history=False, mcp_server=False, is_colab=False)
    wanted |= dict(max_file_size=100 * 2**20, footer_links=[], dev_mode=False, vibe_mode=False, space_id=None)
    assert {name: config[name] for name in wanted} == wanted
    assert stat.S_IMODE(server.private.stat().st_mode) == 0o700
    assert Path(f"/proc/{pid_of(server)}/cwd").resolve() == server.private


def pid_of(server) -> int:
    """The process that listens at the server's port."""
    wanted = f":{server.port:04X} 00000000:0000 0A"
    (line,) = [line for line in Path("/proc/net/tcp").read_text().splitlines() if wanted in line]
    socket = f"socket:[{line.split()[9]}]"
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()) == socket:
                return int(link.parts[2])
        except OSError:
            continue
    raise AssertionError(line)


def test_names_of_uploads_lead_nowhere(server):
    for name in (
        "../../../../evil.png",
        "/etc/evil.png",
        "..\\\\..\\\\evil.png",
        "a/../../evil.png",
        ".." + "/x" * 300,
    ):
        status, body = server.upload(name, b"evil")
        assert status == 200, name
        (path,) = json.loads(body)
        assert Path(path).resolve().is_relative_to(server.private / "uploads") and Path(path).read_bytes() == b"evil"
    assert not list(server.folder.glob("*evil*")) and not list(server.private.glob("*evil*"))


def test_the_address_of_an_upload_cannot_be_computed_from_its_bytes(server):
    everywhere = Path(importlib.util.find_spec("gradio").origin).with_name("hash_seed.txt").read_bytes()
    (path,) = json.loads(server.upload("a.png", b"known")[1])
    folder = Path(path).parent.name
    assert len(folder) == 64
    assert folder not in (sha256(b"known").hexdigest(), sha256(everywhere + b"known").hexdigest())
    assert server.ask(f"/gradio_api/file={path}") == (200, b"known")


def test_two_gigabytes_are_refused_before_they_are_read(server):
    kind = dict(Content_Type="multipart/form-data; boundary=x")
    assert server.ask("/gradio_api/upload", "POST", Content_Length=str(2 * 2**30), **kind)[0] == 413
    assert server.ask("/gradio_api/queue/join", "POST", Content_Length=str(2 * 2**20))[0] == 413


def test_another_name_for_this_computer_is_refused(server):
    """A page elsewhere may have a name of its own lead to 127.0.0.1."""
    assert server.ask("/config", Host="evil.example:80")[0] == 404
    assert server.ask("/config", Host=f"localhost:{server.port}")[0] == 200


def test_who_has_not_logged_in_gets_nothing(tmp_path, model):
    with live.serving(tmp_path, model, "--auth", "me:secret word", "--host", "localhost") as page:
        upload = page.private / "uploads" / "a.txt"
        upload.write_text("mine")
        file = f"/gradio_api/file={upload}"
        assert page.ask(file)[0] == 401 and page.ask("/config")[0] == 401
        assert page.upload("a.png", b"a")[0] == 401
        assert b"secret" not in page.ask("/")[1]
        form = dict(Content_Type="application/x-www-form-urlencoded")
        assert page.ask("/login", "POST", b"username=me&password=wrong", **form)[0] == 400
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", page.port)) as connection:
            headers = {"Content-Type": form["Content_Type"]}
            connection.request("POST", "/login", "username=me&password=secret%20word", headers)
            answer = connection.getresponse()
            cookies = [value.partition(";")[0] for name, value in answer.getheaders() if name == "set-cookie"]
            assert answer.status == 200 and cookies
        assert page.ask(file, Cookie="; ".join(cookies)) == (200, b"mine")


# In a browser


def choose(tab, name: str) -> None:
    """Opens one of the page's own tabs, also where another is shown."""
    found = f"[...document.querySelectorAll('button[role=tab]')].find(b => b.innerText == {name!r})"
    tab.wait(f"!!{found}")
    tab.run(f"{found}.click()")


def start(tab, files: Path, clip: str) -> None:
    """Fills the second tab and starts its job."""
    choose(tab, "I have a clip")
    tab.upload("#clip", files / clip)
    tab.wait("document.querySelector('#clip-seen')?.innerText.includes('64x64')")
    tab.upload("#clip-photo", files / "drawn.png")
    tab.wait("!!document.querySelector('#clip-photo-seen img')")
    tab.click("#enhance")


@in_chromium
@pytest.mark.usefixtures("no_traceback")
def test_a_drawn_persons_photo_becomes_a_video_that_plays_and_nothing_is_asked_elsewhere(
    server, browser, files, tmp_path
):
    tab = browser.tab(server.url)
    tab.says("body", "synthetic: nobody performed it")
    tab.upload("#photo", files / "text.jpg")
    assert tab.says("#photo-seen .problem", "text.jpg").startswith("text.jpg: not a picture; give a png")
    tab.click("#photo button[aria-label='Remove Image']")
    tab.click("#make")
    tab.says("#photo-seen", "give a photo first")
    tab.upload("#photo", files / "two.png")
    tab.wait("document.querySelectorAll('#photo-face input').length", lambda count: count == 2)
    tab.run("document.querySelector('#photo-face input').click()")
    tab.click("#make")
    tab.says("#express-stage", "Done.")
    tab.wait("document.querySelector('#express-video video')?.currentTime > 0.2")
    shown = "document.querySelector('#express-video video')"
    assert tab.run(f"[{shown}.videoWidth, {shown}.videoHeight, {shown}.loop]") == [448, 224, True]
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    for name, start in (("mp4", b"\0\0\0"), ("gif", b"GIF89a"), ("strip", b"\x89PNG")):
        tab.click(f"#express-{name}")
        file = tmp_path / ("happiness-strip.png" if name == "strip" else f"happiness.{name}")
        tab.wait("true", lambda _, file=file: file.exists())
        assert file.read_bytes().startswith(start)
    tab.resize(390)
    for name in ("I have a clip", "One photo"):
        choose(tab, name)
        assert tab.wait("document.scrollingElement.scrollWidth", lambda width: width <= 390)
    assert tab.outside() == [] and tab.errors == []
    tab.close()


@in_chromium
@pytest.mark.usefixtures("no_traceback")
def test_cancelling_two_tabs_at_once_and_a_tab_that_is_gone(server, browser, files):
    first = browser.tab(server.url)
    start(first, files, "long.npy")
    first.wait("!!document.querySelector('#enhanced-stage img')")
    assert first.says("#enhanced-stage", "of 2900").startswith("Making the frames: ")
    first.click("#enhance-cancel")
    first.says("#enhanced-stage", "Cancelled: nothing was kept.")
    first.click("#enhance")  # again
    first.wait("!!document.querySelector('#enhanced-stage img')")
    second = browser.tab(server.url)
    start(second, files, "short.npy")
    second.says("#enhanced-stage", "Waiting: 1 job is before yours.")
    first.close()
    second.says("#enhanced-stage", "Done.")
    made = sorted(file.name for file in (server.private / "results").rglob("*") if "long" in file.name)
    assert made == []  # the job of the closed tab was stopped and left nothing

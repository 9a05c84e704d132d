"""What stands before Gradio: only the addresses that the page needs are answered, and the browser may ask nobody else.

Gradio answers many more: a proxy for other servers, a reader of pages elsewhere, its monitoring, the functions as an
API. They are not needed here, so they are not there.
"""

from collections.abc import Sequence
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

API = "/gradio_api/"
FILE, UPLOAD, HEARTBEAT = "file=", "upload", "heartbeat/"
PAGES = {"/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt", "/login", "/logout"}
FOLDERS = ("/assets/", "/static/")
CALLS = {"queue/join", "queue/data", UPLOAD, "upload_progress", "cancel", "startup-events", "app_id", "login_check"}
LARGEST_CALL = 2**20  # bytes that may be sent with anything but an upload
# Everything from this server alone. Gradio's pages hold scripts and styles in themselves.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "connect-src 'self' data: blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """ASGI middleware.

    Args:
      app: what answers the rest.
      folder: the only folder whose files are given out.
      largest: bytes of an upload, at most; if a browser says beforehand that it is larger, nothing of it is read.
      hosts: the names under which the server may be called; () for any. With the local ones alone, a page elsewhere
        cannot reach the server by a name of its own that leads to 127.0.0.1.
    """

    def __init__(self, app: ASGIApp, folder: Path, largest: int, hosts: Sequence[str] = ()):
        self.app, self.folder, self.largest, self.hosts = app, folder.resolve(), largest, tuple(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":  # a websocket: the page has none
            return None

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if scope["path"].startswith(API):  # people's pictures stay out of caches
                    headers["Cache-Control"] = "no-store"
            await send(message)

        answer = self.app
        if not self._allowed(scope):
            answer = PlainTextResponse("there is nothing here\n", 404)
        elif self._too_large(scope):
            answer = PlainTextResponse("that is too large for this page\n", 413)
        await answer(scope, receive, sending)

    def _allowed(self, scope: Scope) -> bool:
        path = scope["path"]
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").rpartition(":")[0]
        if self.hosts and host not in self.hosts:
            return False
        if path in PAGES or path.startswith(FOLDERS):
            return ".." not in path
        call = path.removeprefix(API)
        if call == path:
            return False
        if call.startswith(FILE):
            return self._inside(call.removeprefix(FILE))
        return call in CALLS or (call.startswith(HEARTBEAT) and "/" not in call.removeprefix(HEARTBEAT))

    def _too_large(self, scope: Scope) -> bool:
        said = dict(scope["headers"]).get(b"content-length", b"0")
        most = self.largest if scope["path"] == API + UPLOAD else LARGEST_CALL
        return not said.isdigit() or int(said) > most

    def _inside(self, name: str) -> bool:
        """Whether it is a file of the folder, links followed."""
        try:
            path = Path(name).resolve()
            return Path(name).is_absolute() and path.is_relative_to(self.folder) and path.is_file()
        except (OSError, ValueError):  # too long, or with a zero byte
            return False

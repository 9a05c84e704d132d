"""`facenhance serve`: the page in the browser."""

import argparse
from pathlib import Path

from facenhance_jax.commands.starting import whole_number
from facenhance_jax.messages import InputError
from facenhance_jax.web import server

PORT = 7860


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command's arguments."""
    serve = commands.add_parser(
        "serve",
        help="open a page in the browser that does all this",
        description="Serves a page on this computer: a photo to a video, and a clip and a photo to a video.",
    )
    serve.add_argument(
        "--host", default=server.LOCAL[0], help="where to listen (default: this computer alone, %(default)s)"
    )
    serve.add_argument("--port", type=whole_number(1, 65535), default=PORT, help="default: %(default)s")
    serve.add_argument("--auth", metavar="USER:PASSWORD", help="what everybody has to give; needed with another --host")
    serve.add_argument("--model", help="a released model's folder (default: the one that is installed)")
    serve.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Serves until it is interrupted. Raises InputError for bad arguments, without Gradio, or if the port is in use."""
    auth = _auth(args.auth)
    if args.host not in server.LOCAL and auth is None:
        raise InputError(f"--host {args.host}: others could use the page; say who may, with --auth user:password")
    server.check_installed()
    server.check_port(args.host, args.port)
    model = Path(args.model).resolve() if args.model else None
    server.run(args.host, args.port, auth, model)


def _auth(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    user, _, password = text.partition(":")
    if not user or not password:
        raise InputError("--auth: give a user and a password with a colon between them, user:password")
    return user, password

"""The command `facenhance`. Slow imports come after the arguments are checked, so that --help is instant."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from facenhance_jax import __version__
from facenhance_jax.commands import enhance, express, extract, serve
from facenhance_jax.messages import InputError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status: the command's own or 0, 2 for bad input (one line on
    stderr), 3 if a part of the work failed, 130 when interrupted.
    """
    try:
        args = _parser().parse_args(argv)
        return args.run(args) or 0
    except InputError as error:
        print(f"facenhance: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nfacenhance: interrupted", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        """Raises InputError, so that a bad argument is one line, without the usage text."""
        raise InputError(f"{message}; see {self.prog} --help")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Prints the version, the installed model and what it must not be used for, and exits."""
        from facenhance_jax.runs import cards

        print(f"facenhance {__version__}")
        print(f"model: {cards.name(cards.PACKAGED_MODEL)}")
        print(f"what must not be done with it: {cards.read(cards.PACKAGED_MODEL).must_not}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="facenhance", description="A 192x192 video of a person from a 64x64 clip and one photo.")
    parser.add_argument("--version", action=_Version, nargs=0, help="version, model, what it must not be used for")
    commands = parser.add_subparsers(dest="command", required=True)
    express.add(commands)
    enhance.add(commands)
    extract.add(commands)
    serve.add(commands)

    demo = commands.add_parser("demo", help="enhance the clip of a drawn person, with figures")
    demo.add_argument("--output", required=True, help="the folder to write to")
    demo.set_defaults(run=_demo)

    report = commands.add_parser(
        "report",
        help="make a page out of an evaluation",
        description="Writes one page that needs no other files, and its pictures: strips, errors, charts, tables.",
    )
    report.add_argument("folder", help="what launch/evaluate.py wrote")
    report.add_argument("--output", help="the .html page (default: report.html in the folder)")
    report.set_defaults(run=_report)
    return parser


def _demo(args: argparse.Namespace) -> None:
    from facenhance_jax.evaluation import demonstration

    demonstration.run(Path(args.output))


def _report(args: argparse.Namespace) -> None:
    from facenhance_jax.evaluation import report

    page, pictures, count = report.write(args.folder, args.output)
    print(f"wrote {page}, and its pictures: {count} in {pictures}")

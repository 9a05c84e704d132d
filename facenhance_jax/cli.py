"""The command `facenhance`. Slow imports come after the arguments are checked, so that --help is instant."""

import argparse
import gc
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from facenhance_jax import __version__
from facenhance_jax.messages import InputError

STRIP_COLUMNS = 8  # frames shown in a strip
KEPT_FRAMES = 16  # frames kept for the strip while a clip of unknown length is read
LARGEST_SEED = 2**32 - 1


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status: 0, 2 for bad input (one line on stderr), 130 when interrupted."""
    try:
        args = _parser().parse_args(argv)
        args.run(args)
    except InputError as error:
        print(f"facenhance: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nfacenhance: interrupted", file=sys.stderr)
        return 130
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        """Raises InputError, so that a bad argument is one line, without the usage text."""
        raise InputError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="facenhance", description="A 192x192 video of a person from a 64x64 clip and one photo.")
    parser.add_argument("--version", action="version", version=f"facenhance {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_enhance(commands)
    _add_extract(commands)

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


def _add_enhance(commands: argparse._SubParsersAction) -> None:
    enhance = commands.add_parser("enhance", help="enhance a clip", description="Enhances a low-resolution clip.")
    enhance.add_argument("--low", required=True, help="the clip: video, gif, webp, picture, folder of frames or .npy")
    enhance.add_argument(
        "--extract", action="store_true", help="--low is an ordinary video of a face: cut the low-res clip out of it"
    )
    enhance.add_argument(
        "--identity", required=True, help="a neutral photo of the person: its face is found and framed"
    )
    enhance.add_argument(
        "--face", type=_whole_number(1), help="which face of the photo, from the left, from 1 (default: the largest)"
    )
    enhance.add_argument("--output", required=True, help="what to write: .mp4, .gif or a folder of PNG frames")
    enhance.add_argument("--model", help="a released model's folder (default: the one that is installed)")
    enhance.add_argument(
        "--steps", type=_whole_number(1), help="denoising steps a frame; more is slower (default: the model's own)"
    )
    enhance.add_argument(
        "--seed", type=_whole_number(0, LARGEST_SEED), default=0, help="of the noise; the same seed, the same pixels"
    )
    enhance.add_argument(
        "--fresh-noise",
        action="store_true",
        help="new noise for every frame, as in the paper; flickers more (default: the model's own way)",
    )
    enhance.add_argument("--strip", help="also write this .png: photo, low-res and enhanced, for eight frames")
    enhance.set_defaults(run=_enhance)


def _add_extract(commands: argparse._SubParsersAction) -> None:
    extract = commands.add_parser(
        "extract",
        help="cut a low-res clip out of a video",
        description="Follows a face through a video and writes it as a low-res clip: 64x64, aligned, on black.",
    )
    extract.add_argument("--video", required=True, help="an ordinary video of a face: anything that `enhance` reads")
    extract.add_argument("--output", required=True, help="what to write: .mp4, .gif or a folder of PNG frames")
    extract.add_argument("--preview", help="a .png of eight frames and their faces (default: <output>.preview.png)")
    extract.add_argument("--landmarks", help="also write this .npy: float32 [frames, 68, 2], x and y in pixels")
    extract.set_defaults(run=_extract)


def _whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or number < least or (most is not None and number > most):
            limits = f"from {least}" + (" up" if most is None else f" to {most}")
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {limits}")
        return number

    return convert


def _demo(args: argparse.Namespace) -> None:
    from facenhance_jax.evaluation import demonstration

    demonstration.run(Path(args.output))


def _report(args: argparse.Namespace) -> None:
    from facenhance_jax.evaluation import report

    page, pictures, count = report.write(args.folder, args.output)
    print(f"wrote {page}, and its pictures: {count} in {pictures}")


def _extract(args: argparse.Namespace) -> None:
    from facenhance_jax.inference import extraction

    preview = args.preview or str(extraction.preview_path(args.output))
    _check_outputs([args.video], args.output, (preview, ".png"), (args.landmarks, ".npy"))
    extraction.run(args.video, args.output, preview, args.landmarks)


@contextmanager
def _loading() -> Iterator[None]:
    """Leaves what is imported and loaded to stay out of the garbage collection, which else is a tenth of the start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _enhance(args: argparse.Namespace) -> None:
    with _loading():
        from facenhance_jax import media, messages

        _check_outputs([args.low, args.identity], args.output, (args.strip, ".png"))
        clip, photo = media.open_clip(args.low), media.read_photo(args.identity)

        from facenhance_jax.faces import placement, portrait
        from facenhance_jax.inference.enhancer import Enhancer

        enhancer = Enhancer.load(args.model)
    framed = portrait.find(photo, enhancer.size, face=args.face, name=args.identity)
    place = None if framed.landmarks is None else placement.of_landmarks(framed.landmarks)

    waiting = deque()  # low-res frames that the enhancer has read and not yet enhanced: at most a chunk

    def taken() -> Iterator:
        for low in lows:
            waiting.append(low)
            yield low

    started = time.perf_counter()
    kept = _KeptFrames()
    options = dict(place=place, steps=args.steps, seed=args.seed, shared_noise=False if args.fresh_noise else None)
    enhanced = enhancer.stream(taken(), framed.frame, **options)  # raises for bad steps at once
    if framed.note:
        messages.note(framed.note)
    lows = _low_frames(args, clip, enhancer.low_size)  # after that check: it may search a whole video for the face
    with media.open_writer(args.output, clip.fps) as writer, messages.progress("enhancing", clip.count) as bar:
        for frame in enhanced:
            writer.write(frame)
            kept.add((waiting.popleft(), frame))
            bar.update()
    seconds = time.perf_counter() - started
    for note in clip.notes:
        messages.note(note)
    if args.strip:
        _write_strip(args.strip, framed.frame, kept.spread(STRIP_COLUMNS))
    speed = f"{writer.count} frames in {seconds:.1f} s, {writer.count / seconds:.1f} frames/s"
    print(f"wrote {args.output}: {speed}")


def _low_frames(args: argparse.Namespace, clip: Iterable, size: int) -> Iterator:
    from facenhance_jax.inference import extraction

    if args.extract:
        return extraction.low_frames(clip, size)
    _note_shape(args.low, clip.height, clip.width)
    return (_square(frame, size) for frame in clip)


def _check_outputs(inputs: Sequence[str], output: str, *others: tuple[str | None, str]) -> None:
    """Raises InputError if `output` or one of `others` (path or None, suffix) cannot be written or is an input."""
    from facenhance_jax import media

    media.check_output(output)
    asked = [(path, suffix) for path, suffix in others if path]
    for path, suffix in asked:
        media.check_output(path, (suffix,))
    taken = {Path(path).resolve() for path in inputs}
    for path in (output, *(path for path, _ in asked)):
        if Path(path).resolve() in taken:
            raise InputError(f"{path}: is also an input, which would be lost; choose another name for the output")
    for path, suffix in asked:
        if suffix == ".png" and Path(path).resolve().parent in taken:
            raise InputError(f"{path}: would become one of the frames that the folder holds; choose another folder")


def _square(pixels, size: int):
    """The middle square of a picture, size x size."""
    from facenhance_jax.faces import framing
    from facenhance_jax.media.pictures import resize

    return resize(framing.middle(*pixels.shape[:2]).cut(pixels), size)


def _note_shape(name: str, height: int, width: int) -> None:
    from facenhance_jax import messages

    if height != width:
        side = min(height, width)
        messages.note(f"{name}: {width}x{height} is not square, its middle {side}x{side} is used")


class _KeptFrames:
    """Up to 16 of any number of items, evenly spread: when full, it drops every second one and doubles the stride."""

    def __init__(self):
        self._items = []
        self._stride = 1
        self._seen = 0

    def add(self, item: tuple) -> None:
        if self._seen % self._stride == 0:
            self._items.append(item)
        if len(self._items) > KEPT_FRAMES:
            self._items = self._items[::2]
            self._stride *= 2
        self._seen += 1

    def spread(self, count: int) -> list[tuple]:
        """At most `count` of them, from the first to the last."""
        from facenhance_jax.media.drawing import spread

        return [self._items[index] for index in spread(count, len(self._items))]


def _write_strip(path: str, identity: object, pairs: list[tuple]) -> None:
    from facenhance_jax import media

    lows, highs = zip(*pairs, strict=True)
    rows = [("photo", [identity] * len(pairs)), ("low-res", list(lows)), ("enhanced", list(highs))]
    media.write_png(path, media.strip(rows))
    print(f"wrote {path}: photo, low-res and enhanced, {len(pairs)} frames")

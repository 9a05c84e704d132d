"""`facenhance enhance`: a clip and a photo to an enhanced clip. Slow imports come after the arguments are checked."""

import argparse
import time
from collections import deque
from collections.abc import Iterable, Iterator

from facenhance_jax.commands import starting

STRIP_COLUMNS = 8  # frames shown in a strip


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command's arguments."""
    enhance = commands.add_parser("enhance", help="enhance a clip", description="Enhances a low-resolution clip.")
    enhance.add_argument("--low", required=True, help="the clip: video, gif, webp, picture, folder of frames or .npy")
    enhance.add_argument(
        "--extract", action="store_true", help="--low is an ordinary video of a face: cut the low-res clip out of it"
    )
    enhance.add_argument(
        "--identity", required=True, help="a neutral photo of the person: its face is found and framed"
    )
    enhance.add_argument(
        "--face",
        type=starting.whole_number(1),
        help="which face of the photo, from the left, from 1 (default: the largest)",
    )
    enhance.add_argument("--output", required=True, help="what to write: .mp4, .gif or a folder of PNG frames")
    enhance.add_argument("--model", help="a released model's folder (default: the one that is installed)")
    enhance.add_argument(
        "--steps",
        type=starting.whole_number(1),
        help="denoising steps a frame; more is slower (default: the model's own)",
    )
    enhance.add_argument(
        "--seed",
        type=starting.whole_number(0, starting.LARGEST_SEED),
        default=0,
        help="of the noise; the same seed, the same pixels",
    )
    enhance.add_argument(
        "--fresh-noise",
        action="store_true",
        help="new noise for every frame, as in the paper; flickers more (default: the model's own way)",
    )
    enhance.add_argument("--strip", help="also write this .png: photo, low-res and enhanced, for eight frames")
    enhance.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Writes the enhanced clip and, if asked, a strip of its frames. Raises InputError for bad input."""
    with starting.loading():
        from facenhance_jax import media, messages
        from facenhance_jax.media.drawing import KeptFrames

        starting.check_outputs([args.low, args.identity], args.output, (args.strip, ".png"))
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
    kept = KeptFrames()
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


def _write_strip(path: str, identity: object, pairs: list[tuple]) -> None:
    from facenhance_jax import media

    lows, highs = zip(*pairs, strict=True)
    rows = [("photo", [identity] * len(pairs)), ("low-res", list(lows)), ("enhanced", list(highs))]
    media.write_png(path, media.strip(rows))
    print(f"wrote {path}: photo, low-res and enhanced, {len(pairs)} frames")

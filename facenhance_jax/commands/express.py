"""`facenhance express`: a photo and an expression to a clip. Slow imports come after the arguments are checked."""

import argparse
import time
from contextlib import ExitStack
from pathlib import Path

from facenhance_jax.commands import starting

EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")  # as in data.layout, which loads slowly
ALL = "all"
ANIMATED = "animated"  # the generator that needs no training; see generators.choosing, which loads slowly
SIZES = ("photo", "model")
WIDELY_PLAYED = 4096 * 2304  # pixels a frame: H.264 of more is beyond level 5.2, which few players know


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command's arguments."""
    express = commands.add_parser(
        "express",
        help="make a photo show an expression",
        description="Makes the face in a photo show an expression, in a clip of the photo's own size.",
    )
    express.add_argument("--photo", required=True, help="a photo with a neutral face: png, jpeg, bmp, gif, webp, tiff")
    express.add_argument(
        "--expression",
        required=True,
        choices=(*EXPRESSIONS, ALL),
        help="which; with all, six clips named after --output (out_anger.mp4), and --output shows them side by side",
    )
    express.add_argument("--output", required=True, help="what to write: .mp4, .gif or a folder of PNG frames")
    express.add_argument(
        "--strength", type=starting.number(0.0, 1.5), default=1.0, help="0 is nothing, 1 usual, 1.5 much (default: 1)"
    )
    express.add_argument("--frames", type=starting.whole_number(1, 1000), default=32, help="how many (default: 32)")
    express.add_argument("--fps", type=starting.number(1.0, 120.0), default=25.0, help="frames/s (default: 25)")
    express.add_argument("--hold", action="store_true", help="stay at the apex for a third of the clip")
    express.add_argument("--loop", action="store_true", help="go back to neutral, so that the clip can be repeated")
    express.add_argument(
        "--size", choices=SIZES, default="photo", help="of the frames: the photo's own, or 192x192 around the face"
    )
    starting.add_face_and_mark(express)
    express.add_argument(
        "--generator",
        default=ANIMATED,
        help="what makes the low-res clip: animated (the default), learned, or the folder of a trained generator",
    )
    starting.add_model(express, "the timing and the noise")
    express.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Writes the clip, or the six clips and one that shows all. Raises InputError for bad input."""
    asked = EXPRESSIONS if args.expression == ALL else (args.expression,)
    outputs = {name: named(args.output, name) for name in asked} if len(asked) > 1 else {asked[0]: args.output}
    with starting.loading():
        from facenhance_jax import media, messages

        for path in {*outputs.values(), args.output}:
            starting.check_outputs([args.photo], path)
        photo = media.read_photo(args.photo)

        from facenhance_jax.generators import choosing
        from facenhance_jax.inference import expressing
        from facenhance_jax.inference.compositing import Compositor
        from facenhance_jax.inference.enhancer import Enhancer

        generator = choosing.named(args.generator)
        enhancer = Enhancer.load(args.model)
    framed = expressing.frame_face(photo, enhancer.size, face=args.face, name=args.photo)
    if framed.note:
        messages.note(framed.note)
    _note_size(args, photo.shape)
    started, label = time.perf_counter(), media.label(enhancer.name, args.seed)
    options = dict(strength=args.strength, frames=args.frames, hold=args.hold, loop=args.loop, steps=args.steps)
    options |= dict(seed=args.seed, framed=framed, enhancer=enhancer, generator=generator)
    options |= dict(size="model")  # one compositor serves all clips
    clips = [expressing.express(photo, name, **options) for name in asked]
    paste = Compositor(photo, framed).paste if args.size == "photo" else lambda frame: frame
    with ExitStack() as stack:
        bar = stack.enter_context(messages.progress("expressing", args.frames * len(asked)))
        writers = [stack.enter_context(media.open_writer(path, args.fps, label=label)) for path in outputs.values()]
        if len(asked) > 1:
            sheet = stack.enter_context(media.open_writer(args.output, args.fps, label=label))
        for made in zip(*clips, strict=True):
            frames = [paste(frame) for frame in made]
            frames = [media.mark(frame) for frame in frames] if args.mark else frames
            for writer, frame in zip(writers, frames, strict=True):
                writer.write(frame)
            if len(asked) > 1:
                sheet.write(media.contact(list(zip(asked, frames, strict=True))))
            bar.update(len(asked))
    seconds, count = time.perf_counter() - started, args.frames * len(asked)
    speed = f"{count} frames in {seconds:.1f} s, {count / seconds:.1f} frames/s"
    if len(asked) > 1:
        print(f"wrote {', '.join(outputs.values())}")
    print(f"wrote {args.output}: {speed}")


def named(output: str, expression: str) -> str:
    """The path of one expression's clip beside `output`: out.mp4 -> out_anger.mp4."""
    path = Path(output)
    return str(path.with_name(f"{path.stem}_{expression}{path.suffix}"))


def _note_size(args: argparse.Namespace, shape: tuple[int, ...]) -> None:
    from facenhance_jax import messages

    height, width = shape[:2]
    if args.size == "photo" and height * width > WIDELY_PLAYED:
        messages.note(f"{args.photo}: {width}x{height} is more than many players show; --size model, or scale it down")

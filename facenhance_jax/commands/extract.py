"""`facenhance extract`: a low-res clip out of an ordinary video."""

import argparse

from facenhance_jax.commands import starting


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command's arguments."""
    extract = commands.add_parser(
        "extract",
        help="cut a low-res clip out of a video",
        description="Follows a face through a video and writes it as a low-res clip: 64x64, aligned, on black.",
    )
    extract.add_argument("--video", required=True, help="an ordinary video of a face: anything that `enhance` reads")
    extract.add_argument("--output", required=True, help="what to write: .mp4, .gif or a folder of PNG frames")
    extract.add_argument("--preview", help="a .png of eight frames and their faces (default: <output>.preview.png)")
    extract.add_argument("--landmarks", help="also write this .npy: float32 [frames, 68, 2], x and y in pixels")
    extract.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Writes the clip, its preview and, if asked, its landmarks. Raises InputError as `extraction.run` does."""
    from facenhance_jax.inference import extraction

    preview = args.preview or str(extraction.preview_path(args.output))
    starting.check_outputs([args.video], args.output, (preview, ".png"), (args.landmarks, ".npy"))
    extraction.run(args.video, args.output, preview, args.landmarks)

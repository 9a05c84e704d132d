"""`facenhance enhance`: a clip and a photo to an enhanced clip. Slow imports come after the arguments are checked."""

import argparse
from pathlib import Path

from facenhance_jax.commands import pairing, starting


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command's arguments."""
    enhance = commands.add_parser(
        "enhance",
        help="enhance a clip, or a folder of clips",
        description="Enhances a low-resolution clip. With a folder of clips, of photos, or both (paired by their "
        "names), it writes an .mp4 for each into the folder --output; those that are there already are left.",
    )
    _add_inputs(enhance)
    _add_output(enhance)
    starting.add_face_and_mark(enhance)
    starting.add_model(enhance, "the noise")
    enhance.add_argument(
        "--fresh-noise",
        action="store_true",
        help="new noise for every frame, as in the paper; flickers more (default: the model's own way)",
    )
    enhance.set_defaults(run=run)


def _add_inputs(enhance: argparse.ArgumentParser) -> None:
    enhance.add_argument(
        "--low",
        required=True,
        help="the clip: video, gif, webp, picture, folder of frames or .npy; or a folder of clips",
    )
    enhance.add_argument(
        "--extract", action="store_true", help="--low is an ordinary video of a face: cut the low-res clip out of it"
    )
    enhance.add_argument(
        "--person",
        choices=("auto", "same", "another"),
        help="whom the video of --extract shows: the photo's person, whose own face is taken, or another, of whom only "
        "the movement is (default: auto, by comparing their faces)",
    )
    enhance.add_argument(
        "--photo",
        "--identity",
        dest="photo",
        required=True,
        help="a neutral photo of the person: its face is found and framed; or a folder of photos",
    )


def _add_output(enhance: argparse.ArgumentParser) -> None:
    enhance.add_argument("--output", required=True, help="what to write: .mp4, .gif or a folder of PNG frames")
    enhance.add_argument(
        "--force", action="store_true", help="with folders: also make the clips that are there already"
    )
    enhance.add_argument(
        "--size",
        choices=("photo", "model"),
        help="of the frames: the photo's own, or the model's around the face (default: the photo's, if its face was "
        "found and it is larger)",
    )
    enhance.add_argument("--strip", help="also write this .png: photo, low-res and enhanced, for eight frames")


def run(args: argparse.Namespace) -> int:
    """Enhances a clip, or every clip of a folder. Returns the exit status: 0, or 3 if any clip of a folder failed.

    Raises InputError for bad input; if only one of a folder's clips is bad, the rest goes on.
    """
    with starting.loading():
        from facenhance_jax import media, messages

        if args.person and not args.extract:
            raise messages.InputError("--person: is said of an ordinary video; give --extract too, or leave it out")
        jobs = pairing.jobs(args.low, args.photo, args.output)
        if jobs is None:
            starting.check_outputs([args.low, args.photo], args.output, (args.strip, ".png"))
        elif args.strip:
            raise messages.InputError("--strip: shows one clip; leave it out for a folder of clips or photos")
        else:
            jobs = pairing.missing(jobs, args.output, force=args.force)
            if not jobs:
                return 0
        # What all clips share is read before the model is, so that it is refused at once.
        clip = media.open_clip(args.low) if not jobs or jobs[0].low == Path(args.low) else None
        photo = media.read_photo(args.photo) if not jobs or jobs[0].photo == Path(args.photo) else None

        from facenhance_jax.commands.enhancing import Enhancing

        work = Enhancing(args, bars=jobs is None)
    if jobs:
        return work.every(jobs)
    work.one(clip, photo)
    return 0

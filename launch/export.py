"""Releases a model: `python launch/export.py --workdir=DIR --output=model [--checkpoint=best] [--dtype=float16]`.

DIR is a run of launch/train.py. Writes the moving average of its parameters, with the config and a card.
"""

from pathlib import Path

import checkout  # noqa: F401  (puts the checkout on sys.path)
from absl import app, flags, logging

from facenhance_jax import messages
from facenhance_jax.generators.released import params_of
from facenhance_jax.messages import InputError
from facenhance_jax.runs.export import export_model

_WORKDIR = flags.DEFINE_string("workdir", None, "folder of the training run", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "folder to write, new or empty", required=True)
_CARD = flags.DEFINE_string("card", None, "the model's card, a Markdown file; without it one is made of the run's log")
_CHECKPOINT = flags.DEFINE_enum("checkpoint", "newest", ["newest", "best"], "best has the lowest validation loss")
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "float16"], "of the arrays on disk")


def export() -> str:
    """Does what the flags say and returns the summary."""
    output = Path(_OUTPUT.value).absolute()
    card = None
    if _CARD.value is not None:
        try:
            card = Path(_CARD.value).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise InputError(f"{_CARD.value}: not readable ({error}); give a Markdown file as --card") from error
    workdir = Path(_WORKDIR.value).absolute()
    step = export_model(workdir, output, card, _DTYPE.value, _CHECKPOINT.value, params_of)
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    return f"{output}: step {step}, {size / 1e6:.1f} MB"


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.ERROR)  # Orbax reports every file it touches
    with messages.refusing():
        print(export())


if __name__ == "__main__":
    app.run(main)

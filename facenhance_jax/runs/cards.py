"""A released model's card: its title, the hash of what it is made of, and what it must not be used for."""

import hashlib
from pathlib import Path
from typing import NamedTuple

PACKAGED_MODEL = Path(__file__).parents[1] / "model"  # the released model that is installed
FILE = "card.md"
HEADING = "## What it must not be used for"
MUST_NOT = (
    "Do not show a real person doing or saying something that they did not do, without their consent. Whoever shows "
    "what it makes should say that it is synthetic: its files say so in their metadata, and `--mark` writes it on the "
    "frames."
)
DIGITS = 12  # of the hash


class Card(NamedTuple):
    """What a card says.

    Attributes:
      title: its first heading, or the folder's name.
      must_not: what the model must not be used for, one line; `MUST_NOT` if the card does not say.
    """

    title: str
    must_not: str


def read(model: Path) -> Card:
    """The card of a released model's folder. It may be missing: whoever trains a model may write their own or none."""
    try:
        text = (model / FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    titles = [line.removeprefix("# ").strip() for line in text.splitlines() if line.startswith("# ")]
    _, _, rest = text.partition(f"{HEADING}\n")
    said = " ".join(rest.partition("\n#")[0].split())
    return Card(titles[0] if titles else model.resolve().name, said or MUST_NOT)


def name(model: Path) -> str:
    """A released model's title and the first digits of the SHA-256 of its config and weights, one line."""
    found = hashlib.sha256()
    for file in sorted([model / "config.json", *(model / "params").rglob("*")]):
        if file.is_file():
            content = file.read_bytes()
            found.update(f"{file.relative_to(model).as_posix()} {len(content)} ".encode())
            found.update(content)
    return f"{read(model).title} (sha256 {found.hexdigest()[:DIGITS]})"

"""The page's jobs, with an enhancer that only enlarges: the files that they leave, and what they say on the way."""

import numpy as np
import pytest
from PIL import Image

from facenhance_jax import media
from facenhance_jax.data.synthetic import population
from facenhance_jax.inference.enhancer import Enhancer
from facenhance_jax.messages import InputError
from facenhance_jax.web import work
from facenhance_jax.web.jobs import Cancelled, Job


class Enlarger(Enhancer):
    """Enlarges low-res frames; `made` counts them."""

    def __init__(self):
        self.size, self.low_size, self.name, self.made = 192, 64, "enlarger", 0

    def stream(self, frames, identity, *, place, seed, steps):
        assert identity.shape == (192, 192, 3) and steps == 4
        for frame in frames:
            self.made += 1
            yield np.repeat(np.repeat(frame, 3, 0), 3, 1)


class Heard(Job):
    """Stands in for a job: keeps what is reported, and is cancelled after some frames."""

    def __init__(self, frames: int = 1000):
        self.said, self._frames = [], frames

    def report(self, what, done=0, total=None, frame=None):
        if not self.said or self.said[-1][0] != what:
            self.said.append([what, 0, total])
        self.said[-1][1] = done
        if frame is not None and done == self._frames:
            raise Cancelled


@pytest.fixture(scope="module")
def person():
    frames, _ = population.draw_clip(population.draw_subject(7, 5), "happiness", 0, 6, 224)
    return frames


@pytest.fixture
def folder(tmp_path, person):
    Image.fromarray(person[0]).save(tmp_path / "photo.png")
    np.save(tmp_path / "low.npy", np.arange(12, dtype=np.uint8)[:, None, None] * np.full((64, 64), 20, np.uint8))
    with media.open_writer(tmp_path / "talk.gif", 10) as writer:
        for frame in person:
            writer.write(frame)
    return tmp_path


def comment(path) -> str:
    with Image.open(path) as picture:
        text = picture.info.get("Comment") or picture.info.get("comment")
    return text.decode() if isinstance(text, bytes) else text


def enhance(folder, clip, photo="photo.png", **changes):
    options = dict(face=None, steps=4, low_res=True, mark=False) | changes
    return work.enhancement(Enlarger(), folder / "out", str(folder / clip), str(folder / photo), **options)


def test_a_clip_becomes_a_video_a_gif_and_a_strip(folder):
    job = Heard()
    Image.new("RGB", (192, 192), (90, 90, 90)).save(folder / "framed.png")
    made = enhance(folder, "low.npy", "framed.png")(job)
    assert made.notes == [] and [path.name for path in made[:3]] == ["low.mp4", "low.gif", "low-strip.png"]
    for path in made[:2]:
        clip = media.open_clip(path)
        frames = np.stack(list(clip)).astype(int)
        assert frames.shape == (12, 192, 192, 3) and clip.fps == 25
        assert np.abs(frames[:, 90, 90, 0] - 20 * np.arange(12)).max() <= 3
    assert comment(made.gif) == comment(made.strip) == media.label("enlarger", 0)
    np.testing.assert_array_equal(np.asarray(Image.open(made.strip)), made.picture)
    assert job.said == [["finding the face", 0, None], ["making the frames", 12, 12], ["making the gif", 12, 12]]


def test_a_face_is_followed_through_an_ordinary_video_and_frames_may_be_marked(folder):
    plain, job = enhance(folder, "talk.gif", low_res=False)(Heard()), Heard()
    marked = enhance(folder, "talk.gif", low_res=False, mark=True)(job)
    assert job.said[1:3] == [["following the face", 5, 6], ["making the frames", 6, 6]]
    first, other = (next(iter(media.open_clip(made.video))).astype(int) for made in (plain, marked))
    wrong = np.abs(media.mark(first.astype(np.uint8)).astype(int) - other)[-12:, :60].mean()
    assert wrong < 6 < np.abs(first - other)[-12:, :60].mean()
    assert np.abs(first - other)[:100].mean() < 1


def test_cancelling_stops_after_the_frame_and_leaves_no_file(folder):
    enhancer = Enlarger()
    job = work.enhancement(
        enhancer, folder / "out", str(folder / "low.npy"), str(folder / "photo.png"),
        face=None, steps=4, low_res=True, mark=False,
    )  # fmt: skip
    with pytest.raises(Cancelled):
        job(Heard(frames=3))
    assert enhancer.made == 3
    assert [path for path in (folder / "out").rglob("*") if path.is_file()] == []


def test_a_photo_performs_an_expression_at_its_own_size(folder, person):
    options = dict(face=None, strength=1.0, steps=4, loop=True, mark=False)
    job = Heard()
    made = work.expression(Enlarger(), folder / "out", str(folder / "photo.png"), "surprise", **options)(job)
    assert [path.name for path in made[:3]] == ["surprise.mp4", "surprise.gif", "surprise-strip.png"]
    frames = np.stack(list(media.open_clip(made.video))).astype(int)
    assert frames.shape == (32, 224, 224, 3)
    assert np.abs(frames[:, 2:20, 2:40] - person[0][2:20, 2:40]).mean() < 2  # far from the face, the photo
    assert [what for what, _, _ in job.said] == [
        "finding the face",
        "moving the face",
        "making the frames",
        "making the gif",
    ]


def test_a_photo_without_a_face_is_refused(folder):
    Image.new("RGB", (300, 200), (90, 90, 90)).save(folder / "wall.png")
    options = dict(face=None, strength=1.0, steps=4, loop=True, mark=False)
    with pytest.raises(InputError, match="no face was found"):
        work.expression(Enlarger(), folder / "out", str(folder / "wall.png"), "fear", **options)(Heard())

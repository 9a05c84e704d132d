"""The page itself: two tabs, each with its fields on the left and what comes out on the right."""

import html
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from facenhance_jax.inference.enhancer import Enhancer
from facenhance_jax.messages import InputError
from facenhance_jax.web import fields, looking, work
from facenhance_jax.web.jobs import Desk, Update, Work

EXPRESSIONS = ("happiness", "surprise", "sadness", "anger", "fear", "disgust")
STEPS = (1, 2, 4, 8)  # denoising steps that can be chosen, besides the model's own
TITLE = "facenhance"
MARK = "Write “synthetic” on the frames"
HEAD = """
<h1>facenhance</h1>
<p>One photo in, a video out. Photos and clips stay on the computer that runs this page and are deleted within an hour.
</p>
<p class="warning"><b>What this page makes is synthetic: nobody performed it.</b> Do not use it to deceive, to harm or
to impersonate anybody, or with a photo of somebody who has not agreed.</p>
"""
EMPTY = '<div class="stage"><p class="hint">The video appears here.</p></div>'
Yielded = Iterator[dict[Any, Any]]


def build(enhancer: Enhancer, desk: Desk, folder: Path) -> gr.Blocks:
    """The page. Jobs go to `desk`; what they make goes into new folders in `folder`, from which Gradio may give out."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.HTML(HEAD, elem_classes="head")
        with gr.Tab("One photo"):
            _photo_tab(enhancer, desk, folder)
        with gr.Tab("I have a clip"):
            _clip_tab(enhancer, desk, folder)
    # The desk has the queue; Gradio's own only has to let every tab in.
    page.queue(max_size=64, default_concurrency_limit=32, api_open=False)
    return page


def _photo_tab(enhancer: Enhancer, desk: Desk, folder: Path) -> None:
    with gr.Row(elem_classes="sides"):
        with gr.Column(min_width=320):
            photo, seen, face = _photo_field(enhancer.size, "Photo of a face, with the mouth closed", "photo", True)
            name = gr.Radio(EXPRESSIONS, value=EXPRESSIONS[0], label="Expression", elem_id="expression")
            strength = gr.Slider(0, 1.5, value=1, step=0.05, label="Strength", elem_id="strength", buttons=[])
            steps = _steps(enhancer)
            loop = gr.Checkbox(True, label="Back to neutral at the end")
            mark = gr.Checkbox(False, label=MARK)
            buttons = _buttons("Make the video", "make")
        with gr.Column(min_width=320):
            results = _results("express")

    def ask(
        photo: str | None, face: int | None, name: str, strength: float, steps: int, loop: bool, mark: bool
    ) -> Work:
        options = dict(face=face, strength=strength, steps=steps, loop=loop, mark=mark)
        return work.expression(enhancer, folder, photo, name, **options)

    needed = {0: (seen, "give a photo first")}
    _connect(desk, ask, [photo, face, name, strength, steps, loop, mark], needed, buttons, results)


def _clip_tab(enhancer: Enhancer, desk: Desk, folder: Path) -> None:
    with gr.Row(elem_classes="sides"):
        with gr.Column(min_width=320):
            clip = fields.clip(label="Clip that performs", elem_id="clip")
            seen = gr.HTML("", elem_classes="seen", elem_id="clip-seen", padding=False)
            kinds = [("ordinary video of a face", False), ("low-res face on black", True)]
            low_res = gr.Radio(kinds, value=False, label="What the clip shows", elem_id="kind")
            label = "Photo of the person who shall perform it"
            photo, photo_seen, face = _photo_field(enhancer.size, label, "clip-photo", False)
            steps = _steps(enhancer)
            mark = gr.Checkbox(False, label=MARK)
            buttons = _buttons("Enhance the clip", "enhance")
        with gr.Column(min_width=320):
            results = _results("enhanced")

    def look(path: str | None) -> tuple[str, Any]:
        if not path:
            return "", gr.Radio()
        with looking.refused() as said:
            found = looking.at_clip(path)
            return _seen(found), gr.Radio(value=found.low_res)
        return _problem(said[0]), gr.Radio()

    clip.change(look, clip, [seen, low_res], **_quick("minimal"))

    def ask(clip: str, low_res: bool, photo: str, face: int | None, steps: int, mark: bool) -> Work:
        return work.enhancement(enhancer, folder, clip, photo, face=face, steps=steps, low_res=low_res, mark=mark)

    needed = {0: (seen, "give a clip first"), 2: (photo_seen, "give a photo first")}
    _connect(desk, ask, [clip, low_res, photo, face, steps, mark], needed, buttons, results)


def _photo_field(size: int, label: str, name: str, face_needed: bool) -> tuple[gr.Image, gr.HTML, gr.Radio]:
    """A photo, below it the faces that were found in it or what is wrong with it, and a choice among several faces."""
    photo = fields.photo(label=label, elem_id=name)
    seen = gr.HTML("", elem_classes="seen", elem_id=f"{name}-seen", padding=False)
    face = gr.Radio([], label="Which face", visible=False, elem_id=f"{name}-face")

    def look(path: str | None) -> tuple[str, Any]:
        nobody = gr.Radio(choices=[], value=None, visible=False)
        if not path:
            return "", nobody
        with looking.refused() as said:
            found = looking.at_photo(path, size, None, face_needed)
            numbers = list(range(1, found.faces + 1))
            several = gr.Radio(choices=numbers, value=found.chosen, visible=True)
            return _seen(found), several if found.faces > 1 else nobody
        return _problem(said[0]), nobody

    def mark(path: str | None, number: int | None) -> str:
        with looking.refused() as said:
            return _seen(looking.at_photo(path, size, number, face_needed))
        return _problem(said[0])

    photo.change(look, photo, [seen, face], **_quick("minimal"))
    face.input(mark, [photo, face], seen, **_quick())
    return photo, seen, face


def _steps(enhancer: Enhancer) -> gr.Radio:
    own = enhancer.sampling.steps
    choices = sorted({*STEPS, own})
    return gr.Radio(choices, value=own, label="Denoising steps a frame (more: slower)")


def _buttons(label: str, name: str) -> tuple[gr.Button, gr.Button]:
    with gr.Row():
        start = gr.Button(label, variant="primary", elem_id=name, min_width=120)
        stop = gr.Button("Cancel", variant="stop", interactive=False, elem_id=f"{name}-cancel", min_width=120)
    return start, stop


def _results(name: str) -> tuple[gr.HTML, gr.Video, list[gr.DownloadButton]]:
    stage = gr.HTML(EMPTY, elem_id=f"{name}-stage")
    video = gr.Video(
        label="Synthetic video", loop=True, autoplay=True, visible=False, elem_id=f"{name}-video", buttons=[]
    )
    with gr.Row():
        labels = ("mp4", "gif", "strip")
        downloads = [
            gr.DownloadButton(f"Download {label}", visible=False, min_width=90, elem_id=f"{name}-{label}")
            for label in labels
        ]
    return stage, video, downloads


def _quick(progress: str = "hidden") -> dict[str, Any]:
    """For functions that answer at once and are no job: several may run, and nobody calls them from outside."""
    return dict(api_visibility="private", show_progress=progress, concurrency_limit=4)


def _connect(
    desk: Desk,
    ask: Callable[..., Work],
    inputs: list[gr.components.Component],
    needed: dict[int, tuple[gr.HTML, str]],
    buttons: tuple[gr.Button, gr.Button],
    results: tuple[gr.HTML, gr.Video, list[gr.DownloadButton]],
) -> None:
    """Lets the first button start the job that `ask` makes of the inputs, and the second one cancel it.

    `needed` has, by the number of an input that must be there, where to say that it is missing, and how.
    """
    (start, stop), (stage, video, downloads) = buttons, results

    def run(request: gr.Request, *values: Any) -> Yielded:
        missing = {place: _problem(words) for number, (place, words) in needed.items() if not values[number]}
        if missing:
            yield missing
            return
        try:
            job = desk.submit(request.session_hash, ask(*values))
        except InputError as error:
            yield {stage: _stage(Update(state="failed", problem=str(error)))}
            return
        hidden = {button: gr.DownloadButton(visible=False) for button in downloads}
        going = {start: gr.Button(interactive=False), stop: gr.Button("Cancel", interactive=True)}
        yield {stage: _stage(Update()), video: gr.Video(visible=False), **hidden, **going}
        for update in job.updates():
            yield {stage: _stage(update)} | (ended(update) if update.ended else {})

    def ended(update: Update) -> dict[Any, Any]:
        changes = {start: gr.Button(interactive=True), stop: gr.Button("Cancel", interactive=False)}
        if update.made:
            files = (update.made.video, update.made.gif, update.made.strip)
            changes[video] = gr.Video(str(update.made.video), visible=True)
            for button, file in zip(downloads, files, strict=True):
                changes[button] = gr.DownloadButton(value=str(file), visible=True)
        return changes

    def cancel(request: gr.Request) -> Any:
        desk.cancel(request.session_hash)
        return gr.Button("Stopping", interactive=False)

    outputs = [*(place for place, _ in needed.values()), stage, video, *downloads, start, stop]
    start.click(run, inputs, outputs, api_visibility="private", show_progress="hidden", concurrency_limit=32)
    stop.click(cancel, None, stop, **_quick())


def _problem(text: str) -> str:
    return f'<p class="problem" role="alert">{html.escape(text)}</p>'


def _seen(found: looking.Seen) -> str:
    notes = "".join(f'<p class="note">{html.escape(looking.in_words(note))}</p>' for note in found.notes)
    found_words = f"{found.faces} faces were found" if found.faces > 1 else "what was found in the upload"
    return f'<img src="{looking.as_url(found.picture)}" alt="{found_words}">{notes}'


def _stage(update: Update) -> str:
    """What is seen of a job: in words, as a bar, and its newest frame."""
    if update.state == "failed":
        return f'<div class="stage">{_problem(looking.in_words(update.problem))}</div>'
    if update.state == "cancelled":
        return '<div class="stage"><p class="hint">Cancelled: nothing was kept.</p></div>'
    if update.state == "done":
        notes = "".join(f'<p class="note">{html.escape(looking.in_words(note))}</p>' for note in update.made.notes)
        picture = looking.as_url(update.made.picture)
        return (
            f'<div class="stage"><p>Done.</p>{notes}<img class="strip" src="{picture}" alt="frames of the video"></div>'
        )
    if update.before:
        jobs = "1 job is" if update.before == 1 else f"{update.before} jobs are"
        return f'<div class="stage"><p role="status">Waiting: {jobs} before yours.</p></div>'
    words = update.what[:1].upper() + update.what[1:]
    words += f": {update.done}" + (f" of {update.total}" if update.total else "") if update.done else " ..."
    words += f", {_seconds(update.seconds_left)} left" if update.seconds_left is not None else ""
    share = 100 * update.done / update.total if update.total else 0
    picture = ""
    if update.frame is not None:
        frame = looking.as_url(looking.shrunk(update.frame, looking.SHOWN))
        picture = f'<img src="{frame}" alt="the newest frame">'
    bar = f'<div class="bar"><span style="width: {share:.1f}%"></span></div>'
    return f'<div class="stage"><p role="status">{words}</p>{bar}{picture}</div>'


def _seconds(number: float) -> str:
    return f"{max(1, round(number))} s" if number < 90 else f"{round(number / 60)} min"

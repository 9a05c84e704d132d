"""The command `facenhance`: what it refuses, and that its help is instant."""

import subprocess
import sys

import pytest
from clips import one_line

import facenhance_jax
from facenhance_jax import cli
from facenhance_jax.runs import cards


@pytest.mark.parametrize("arguments", [[], ["enhance"], ["extract"], ["sharpen"], ["enhance", "--low"]])
def test_bad_commands(capfd, arguments):
    assert "see facenhance" in one_line(capfd, cli.main(arguments))


def test_demo_runs_the_demonstration(tmp_path, monkeypatch):
    asked = []
    from facenhance_jax.evaluation import demonstration

    monkeypatch.setattr(demonstration, "run", asked.append)
    assert cli.main(["demo", "--output", str(tmp_path / "demo")]) == 0
    assert asked == [tmp_path / "demo"]


def test_help_and_version_load_nothing_heavy():
    program = (
        "import sys\nfrom facenhance_jax import cli\n"
        "for arguments in (['--version'], ['enhance', '--help'], ['extract', '--help']):\n"
        "    try: cli.main(arguments)\n"
        "    except SystemExit as end: assert not end.code\n"
        "print(sorted({'jax', 'numpy', 'av', 'PIL', 'tqdm'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    version, model, misuse, *_, heavy = run.stdout.splitlines()
    assert (version, heavy) == (f"facenhance {facenhance_jax.__version__}", "[]")
    assert model == f"model: {cards.name(cards.PACKAGED_MODEL)}" and len(cards.name(cards.PACKAGED_MODEL)) < 150
    assert misuse.startswith("what must not be done with it: Do not show a real person") and "consent" in misuse
    assert "--strip" in run.stdout and "--preview" in run.stdout

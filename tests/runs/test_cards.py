"""A model's name, and what must not be done with it."""

import shutil

from facenhance_jax.runs import cards


def test_the_name_has_the_title_and_changes_with_the_weights_and_the_config(tmp_path):
    model = tmp_path / "small"
    (model / "params" / "d").mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "params" / "d" / "0").write_bytes(b"weights")
    (model / "card.md").write_text("# A small model\n\n# Another heading\n")
    # sha256 of b"config.json 2 {}params/d/0 7 weights"
    name = cards.name(model)
    assert name == "A small model (sha256 d4d653ed5f1e)"
    assert cards.name(shutil.copytree(model, tmp_path / "copy")) == name
    (model / "params" / "d" / "0").write_bytes(b"weighty")
    other = cards.name(model)
    (model / "params" / "d" / "0").write_bytes(b"weights")
    (model / "config.json").write_text("[]")
    assert len({name, other, cards.name(model)}) == 3
    (model / "card.md").unlink()
    assert cards.name(model).startswith("small (sha256 ") and cards.read(model).must_not == cards.MUST_NOT


def test_what_must_not_be_done_is_read_from_the_card(tmp_path):
    text = f"# M\n\ntext\n\n{cards.HEADING}\n\nDo not\nlie. Ask.\n\n## More\n\nother\n"
    (tmp_path / "card.md").write_text(text)
    assert cards.read(tmp_path) == ("M", "Do not lie. Ask.")

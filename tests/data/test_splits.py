"""Which subjects are for testing: by our rule, and by the published lists."""

import random

import pytest

from facenhance_jax.data.splits import MUG_SUBJECTS, split_subjects
from facenhance_jax.messages import InputError


def test_the_split_is_every_fourth_of_the_sorted_subjects():
    ids = [f"{n:03d}" for n in range(1, 53)]
    split = split_subjects(reversed([*ids, *ids]))
    assert split["test"] == "002 006 010 014 018 022 026 030 034 038 042 046 050".split()
    assert split["train"] == [subject for subject in ids if subject not in split["test"]]
    assert (len(split["train"]), len(split["test"])) == (39, 13)


def test_every_fourth_begins_with_the_fourth():
    split = split_subjects([f"s{n:02d}" for n in range(68)], "every_fourth")
    assert split["test"] == [f"s{n:02d}" for n in range(3, 68, 4)] and len(split["test"]) == 17
    with pytest.raises(InputError, match="split every_fourth: leaves no subject to test among a b c; use quarter"):
        split_subjects("abc", "every_fourth")


def test_both_sides_of_a_split_have_somebody():
    assert split_subjects(["b", "a"]) == {"train": ["a"], "test": ["b"]}
    assert split_subjects("abc") == {"train": ["a", "c"], "test": ["b"]}
    with pytest.raises(InputError, match="subjects: 1 found"):
        split_subjects(["a", "a"])


def test_lfdm_is_what_its_own_rule_gives():
    # LFDM's preprocessing/preprocess_MUG.py: the sorted ids, shuffled after random.seed(1234), cut in the middle.
    ids = list(MUG_SUBJECTS)
    random.Random(1234).shuffle(ids)
    assert split_subjects(MUG_SUBJECTS, "lfdm") == {"train": sorted(ids[:26]), "test": sorted(ids[26:])}


def test_imaginator_is_42_and_10():
    split = split_subjects(MUG_SUBJECTS, "imaginator")
    assert split["test"] == "017 034 045 055 060 064 065 073 078 083".split()
    assert len(split["train"]) == 42 and sorted(split["train"] + split["test"]) == list(MUG_SUBJECTS)
    part = split_subjects(["001", "017", "073", "084"], "imaginator")  # a tree that lacks some
    assert part == {"train": ["001", "084"], "test": ["017", "073"]}


@pytest.mark.parametrize(
    ("subjects", "split", "message"),
    [
        (["001", "003"], "lfdm", "split lfdm: knows MUG's subjects only, not 003; use quarter"),
        (["001", "002"], "lfdm", "split lfdm: leaves no subject to train among 001 002"),
        (["001", "002"], "halves", "split: 'halves' is none of quarter, every_fourth, lfdm, imaginator"),
    ],
)
def test_a_split_that_does_not_fit(subjects, split, message):
    with pytest.raises(InputError, match=message):
        split_subjects(subjects, split)

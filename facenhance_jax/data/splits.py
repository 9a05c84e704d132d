"""Splits of subjects into training and test subjects: our own split, and those of published systems on MUG."""

from collections.abc import Iterable

from facenhance_jax.messages import InputError

SPLITS = ("quarter", "every_fourth", "lfdm", "imaginator")
_FIRST = {"quarter": 1, "every_fourth": 3}  # the first test subject among the sorted ids; then every fourth

# MUG's 52 subjects, as both projects below list them.
MUG_SUBJECTS = tuple(
    "001 002 006 007 008 010 013 014 017 020 021 027 028 030 031 032 033 034 036 037 038 039 040 042 043 044 045 046 "
    "048 049 052 055 060 061 062 063 064 065 066 070 071 072 073 074 075 076 077 078 079 082 083 084".split()
)
_PUBLISHED_TEST = {
    # LFDM (Ni et al. 2023), DM/datasets_mug.py: random.seed(1234), the sorted ids shuffled, the last 26.
    "lfdm": tuple(
        "001 002 006 007 010 013 014 020 027 032 033 040 046 048 049 052 "
        "064 065 066 070 072 073 074 078 079 082".split()
    ),
    # ImaGINator (Wang et al. 2020), annotation/val_none_neutral.csv.
    "imaginator": tuple("017 034 045 055 060 064 065 073 078 083".split()),
}


def split_subjects(subjects: Iterable[str], split: str = "quarter") -> dict[str, list[str]]:
    """Splits subjects into "train" and "test"; nobody is in both.

    "quarter": the test subjects have the indices 1, 5, 9, ... in the sorted list of ids: 13 of MUG's 52 subjects (the
    paper says 75 and 25 %, but does not name them). "every_fourth": those at 3, 7, 11, ... "lfdm" (26 / 26) and
    "imaginator" (42 / 10) are published lists of MUG's subjects.

    Raises InputError for fewer than two subjects or an unknown split, and for a published split if a subject is not
    one of MUG's or one side is empty.
    """
    ids = sorted(set(subjects))
    if split not in SPLITS:
        raise InputError(f"split: {split!r} is none of {', '.join(SPLITS)}")
    if len(ids) < 2:
        raise InputError(f"subjects: {len(ids)} found, and a split by subject needs 2 or more; add subjects")
    others = [subject for subject in ids if subject not in MUG_SUBJECTS]
    if split not in _FIRST and others:
        raise InputError(f"split {split}: knows MUG's subjects only, not {' '.join(others[:8])}; use quarter")
    chosen = set(ids[_FIRST[split] :: 4]) if split in _FIRST else set(_PUBLISHED_TEST[split])
    sides = {
        "train": [subject for subject in ids if subject not in chosen],
        "test": [subject for subject in ids if subject in chosen],
    }
    for name, side in sides.items():
        if not side:
            raise InputError(f"split {split}: leaves no subject to {name} among {' '.join(ids[:8])}; use quarter")
    return sides

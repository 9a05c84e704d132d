"""Results as tables; published numbers are marked as such."""

from facenhance_jax.evaluation import tables


def results(**settings):
    rows = [
        {"method": "enhanced", "key": "enhanced-8", "steps": 8, "n": 6, "psnr": 30.126, "fvd": 91.26, "acd": 0.0123}
        | {"clips": {"acd": 5}, "absent": {"acd": "9000/fear: no face"}, "seconds_per_frame": 0.25},
        {
            "method": "low-res upsampled",
            "key": "upsampled",
            "steps": None,
            "n": 6,
            "psnr": 9.5,
            "clips": {},
            "absent": {},
        },
    ]
    heads = {"psnr": ("PSNR", 2), "fvd": ("FVD", 1), "acd": ("ACD", 3)}
    return {
        "settings": {"data": "drawn", "frames": 24, "size": 192, "n": 6, "stride": 1} | settings,
        "metrics": {name: {"label": label, "digits": digits} for name, (label, digits) in heads.items()},
        "extractors": {"fvd": {"frames": 24, "size": 192, "stride": 1}, "acd": {"extractor": "dlib"}},
        "absent": {"expression": "no dlib", "ssim": "not asked for"},
        "rows": rows,
    }


def test_the_terminal_shows_numbers_dashes_and_reasons():
    lines = tables.text(results()).splitlines()
    assert lines[:8] == [
        "                         PSNR         FVD",
        "enhanced, 8 steps       30.13        91.3",
        "low-res upsampled        9.50           -",
        "",
        "                          ACD",
        "enhanced, 8 steps       0.012",
        "low-res upsampled           -",
        "",
    ]
    text = "\n".join(lines)
    for note in (
        "6 clips of 24 frames, 192 x 192: drawn.",
        "FVD: n 6, 24 frames, 192 x 192, stride 1",
        "ACD, ACD-I: dlib.",
        "expression not computed: no dlib.",
        "enhanced, 8 steps: acd in 5 of 6 clips.",
        "enhanced, 8 steps: no acd in some or all: 9000/fear: no face.",
    ):
        assert note in text
    assert "not asked for" not in text


def test_columns_for_a_terminal():
    rows = [{"method": "enhanced", "steps": 1, "psnr": 100.0, "ssim": 0.95126}, {"method": "photo", "steps": None}]
    metrics = {"psnr": {"label": "PSNR", "digits": 2}, "ssim": {"label": "face SSIM", "digits": 4}}
    assert tables.aligned(rows, ["ssim", "psnr"], metrics).splitlines() == [
        "                   face SSIM        PSNR",
        "enhanced, 1 step      0.9513      100.00",
        "photo                      -           -",
    ]


def test_a_reason_that_all_methods_share_is_said_once():
    found = results(frames=1)
    for row in found["rows"]:
        row |= {"clips": {"acting": 2}, "absent": {"acting": "too still"}}
    found["rows"].append({**found["rows"][1], "key": "real", "method": "real", "clips": {}, "absent": {}})
    lines = tables.notes(found)
    assert lines[0] == "6 clips of 1 frame, 192 x 192: drawn."
    assert lines[-2:] == ["all: acting in 2 of 6 clips.", "all: no acting in some or all: too still."]
    found["rows"][1]["clips"] = {}
    assert "enhanced, 8 steps: acting in 2 of 6 clips." in tables.notes(found)


def test_fvd_of_another_part_of_the_clips_says_so():
    found = results()
    found["extractors"]["fvd"] |= {"frames": 40, "size": 128}
    row = "| enhanced, 8 steps | 24 x 192, n 6, FVD of 40 x 128 | drawn, ours | 91.3 |"
    assert row in tables.against_published(found)
    assert "FVD: n 6, 40 frames, 128 x 128, stride 1." in tables.text(found)


def test_what_scoring_took_is_compared_with_enhancing():
    found = results()
    assert tables.scoring(found) == ""
    found["rows"][0]["scoring"] = {"psnr": 0.01, "acd": 0.05}
    found["rows"].append({"key": "real", "steps": None, "scoring": {"acd": 0.04}})
    said = "Scoring took 0.40 of the time of enhanced, 8 steps; seconds a frame: psnr 0.010, acd 0.090."
    assert tables.scoring(found) == said  # 0.1 s of 0.25 s


def test_table_1_has_the_published_and_our_row_before_and_after():
    after, before = results(), results()
    before["rows"] = [{**before["rows"][1], "psnr": 15.0}]
    assert tables.before_after(before, after, "fevgan").splitlines() == [
        "|   | frames x size | data | FVD | PSNR | SSIM | ACD | ACD-I |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| FEV-GAN, before | 32 x 64 | MUG, published | 452.46 | 24.02 | .88 | .09 | .23 |",
        "| FEV-GAN, after | 32 x 192 | MUG, published | 85.74 | 31.08 | .93 | .01 | .09 |",
        "| fevgan, before | 24 x 192, n 6, enlarged from 64 | drawn, ours | - | 15.00 | - | - | - |",
        "| fevgan, after, 8 steps | 24 x 192, n 6 | drawn, ours | 91.3 | 30.13 | - | 0.012 | - |",
    ]
    lines = tables.before_after(before, after, "folder").splitlines()
    assert len(lines) == 4 and lines[2].startswith("| folder, before |")


def test_table_2_has_frames_and_size_in_every_row():
    lines = tables.against_published(results()).splitlines()
    assert "| FacEnhance | 32 x 192 | MUG, published | 95.38 | 30.88 | .94 | .01 | .07 |" in lines
    assert "| VDM | 16 x 64 | MUG, published | 108.02 |   |   |   |   |" in lines
    assert lines[7] == "| enhanced, 8 steps | 24 x 192, n 6 | drawn, ours | 91.3 | 30.13 | - | 0.012 | - |"


def test_table_3_has_the_published_rows_first():
    lines = tables.ablations(results()).splitlines()
    assert lines[2] == "| without E_exp | 32 x 192 | MUG, published | 110.13 | 30.97 | .93 | .01 | .08 |"
    assert lines[-1] == "| low-res upsampled | 24 x 192, n 6 | drawn, ours | - | 9.50 | - | - | - |"


def test_everything_leaves_out_what_nobody_has():
    lines = tables.everything(results()).splitlines()
    assert lines[0] == "|   | PSNR | FVD | ACD | s a frame |"
    assert lines[2] == "| enhanced, 8 steps | 30.13 | 91.3 | 0.012 | 0.250 |"

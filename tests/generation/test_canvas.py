"""The canvas keeps the background's shape, the frame is never stretched, masks fade inwards only."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from generation.picture import canvas, compositing


@pytest.mark.parametrize("size", [(4000, 3000), (3000, 4000), (700, 2100), (256, 256), (90, 33), (5000, 20)])
def test_canvas_size_keeps_the_aspect_ratio_within_the_budget(size):
    budget = 512 * 768
    width, height = canvas.canvas_size(*size, budget)
    assert width % 8 == 0 and height % 8 == 0
    assert 0 < width * height <= budget
    if min(width, height) > 64:
        assert width / height == pytest.approx(size[0] / size[1], rel=0.05)


def test_background_is_cropped_by_less_than_eight_pixels_and_not_stretched():
    picture = Image.new("RGB", (1000, 500))
    ImageDraw.Draw(picture).ellipse((300, 50, 700, 450), fill="white")
    fitted = np.asarray(canvas.fit_background(picture, 256 * 256).convert("L")) > 127
    rows, columns = np.flatnonzero(fitted.any(1)), np.flatnonzero(fitted.any(0))
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=2)


def test_frame_lies_at_the_bottom_in_the_middle():
    frame = Image.new("L", (100, 100), 255)
    wide = np.asarray(canvas.fit_frame(frame, (400, 200), Image.Resampling.NEAREST))
    assert wide[:, 100:300].min() == 255 and wide[:, :100].max() == 0 and wide[:, 300:].max() == 0
    tall = np.asarray(canvas.fit_frame(frame, (200, 400), Image.Resampling.NEAREST))
    assert tall[200:].min() == 255 and tall[:200].max() == 0


def test_feathered_mask_is_zero_wherever_the_mask_is():
    mask = Image.new("L", (64, 64))
    ImageDraw.Draw(mask).rectangle((16, 16, 47, 47), fill=255)
    soft, hard = np.asarray(compositing.feathered(mask, 6)), np.asarray(mask)
    assert soft[hard == 0].max() == 0
    assert soft[32, 32] == 255
    assert 0 < soft[32, 17] < 255


def test_lay_over_leaves_the_picture_alone_outside_the_mask():
    mask = Image.new("L", (64, 64))
    ImageDraw.Draw(mask).ellipse((10, 10, 40, 40), fill=255)
    rng = np.random.default_rng(1)
    picture = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
    over = np.asarray(compositing.lay_over(Image.new("RGB", (64, 64), "red"), picture, mask, 4))
    outside = np.asarray(mask) == 0
    assert (over[outside] == np.asarray(picture)[outside]).all()
    assert tuple(over[25, 25]) == (255, 0, 0)


def test_keep_colours_takes_detail_from_one_and_colours_from_the_other():
    rng = np.random.default_rng(4)
    grain = rng.integers(-40, 41, (96, 96, 1))
    reddish = Image.fromarray((grain + (150, 90, 90)).astype(np.uint8))
    bluish = Image.fromarray(np.full((96, 96, 3), (90, 90, 150), np.uint8))
    kept = np.asarray(compositing.keep_colours(reddish, bluish, 8)).astype(int)
    assert np.abs(kept.mean((0, 1)) - (90, 90, 150)).max() < 2
    assert np.corrcoef(kept[..., 0].ravel(), grain.ravel())[0, 1] > 0.98
    assert compositing.keep_colours(reddish, bluish, 0) == reddish


def test_add_change_moves_a_picture_by_what_lies_between_two_others():
    rng = np.random.default_rng(3)
    picture, before, after = (
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)) for _ in range(3)
    )
    assert compositing.add_change(picture, before, before) == picture
    assert compositing.add_change(before, before, after) == after
    moved = np.asarray(compositing.add_change(picture, before, after)).astype(int)
    asked = np.asarray(picture).astype(int) + np.asarray(after) - np.asarray(before)
    assert (moved == asked.clip(0, 255)).all()


def test_bounded_moves_no_channel_farther_than_the_limit():
    rng = np.random.default_rng(2)
    picture, painted = (Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)) for _ in range(2))
    moved = np.abs(np.asarray(compositing.bounded(painted, picture, 5)).astype(int) - np.asarray(picture))
    assert moved.max() == 5


@pytest.mark.slow  # 12 megapixels
@pytest.mark.parametrize("size", [(4000, 3000), (3000, 4000), (700, 2100)])
def test_a_large_photograph_comes_back_at_its_own_size(size):
    """The painted square is where it was painted; outside it, no pixel moves farther than on the canvas."""
    noise = np.random.default_rng(1).integers(0, 250, (size[1], size[0], 3), np.uint8)
    original = Image.fromarray(noise)
    background = canvas.fit_background(original, 512 * 512)
    mask = Image.new("L", background.size)
    box = (mask.width // 4, mask.height // 4, mask.width // 2, mask.height // 2)
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    painted = background.point(lambda v: min(255, v + 3))
    painted.paste("red", (0, 0), mask)
    whole = compositing.paste_back(original, background, painted, mask, 4)
    assert whole.size == original.size
    scale = min(size[0] / mask.width, size[1] / mask.height)  # the canvas shows a little less than all
    corners = [
        round(whole_side / 2 + (v - side / 2) * scale)
        for v, side, whole_side in zip(box, mask.size * 2, size * 2, strict=True)
    ]
    far = round(8 * scale)
    left, top, right, bottom = corners
    red = np.asarray(whole).astype(int)[top + far : bottom - far, left + far : right - far]
    assert (np.abs(red - (255, 0, 0)) <= 6).all()
    outside = np.ones(size[::-1], bool)
    near = round(2 * scale)  # the rectangle holds its last row and column, and edges are rounded
    outside[top - near : bottom + near, left - near : right + near] = False
    assert np.abs(np.asarray(whole).astype(int) - noise)[outside].max() <= 3


def test_a_background_of_canvas_size_is_left_as_it_was_painted():
    painted = Image.new("RGB", (64, 64), "red")
    mask = Image.new("L", (64, 64), 255)
    assert (
        compositing.paste_back(Image.new("RGB", (64, 64)), Image.new("RGB", (64, 64)), painted, mask, 2)
        is painted
    )

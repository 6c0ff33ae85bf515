"""A close-up of a small subject: which part of the canvas it shows, and that it comes back to its place."""

import numpy as np
import pytest
from PIL import Image

from generation.models.profiles import MINIATURE, SD15
from generation.picture.enlarging import CloseUp, close_up_of


def mask_of(box: tuple[int, int, int, int], size: tuple[int, int] = (256, 256)) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, box)
    return mask


@pytest.mark.parametrize(
    ("box", "size", "seen"),
    [
        ((100, 60, 150, 160), (256, 256), (67, 52, 183, 168)),
        ((0, 0, 50, 100), (256, 256), (0, 0, 116, 116)),  # at the edge: it moves inside
        ((300, 200, 340, 300), (512, 320), (227, 192, 413, 308)),  # with the canvas's proportions
        ((10, 10, 210, 250), (256, 256), None),  # large already
    ],
)
def test_the_close_up_holds_the_mask_and_has_the_canvas_proportions(box, size, seen):
    close_up = close_up_of(mask_of(box, size), MINIATURE)
    assert close_up.box == seen
    if seen:
        width, height = seen[2] - seen[0], seen[3] - seen[1]
        assert abs(width / height - size[0] / size[1]) < 0.02
        assert seen[0] <= box[0] and seen[1] <= box[1] and seen[2] >= box[2] and seen[3] >= box[3]


def test_without_a_padding_or_a_mask_the_whole_canvas_is_painted():
    assert close_up_of(mask_of((100, 60, 150, 160)), SD15) == CloseUp(None)
    assert close_up_of(Image.new("L", (256, 256)), MINIATURE) == CloseUp(None)


def test_a_close_up_fills_the_canvas_and_comes_back_to_its_place():
    picture = Image.new("RGB", (256, 256), "navy")
    picture.paste("gold", (100, 100, 130, 130))
    close_up = CloseUp((80, 80, 160, 160))
    large = close_up.enlarge(picture)
    assert large.size == picture.size
    gold = (np.asarray(large)[..., 0] > 128).mean()
    assert gold == pytest.approx((30 / 80) ** 2, abs=0.02)
    back = close_up.put_back(large, picture)
    assert np.abs(np.asarray(back).astype(int) - np.asarray(picture)).mean() < 0.5
    assert CloseUp(None).enlarge(picture) is picture and CloseUp(None).put_back(large, picture) is large

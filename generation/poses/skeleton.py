"""From a mannequin or a photograph to the OpenPose skeleton that ControlNet reads.

    python -m generation.poses.skeleton IN OUT

writes OUT, a PNG of IN's size: the body's 18 joints and their limbs on black. Run once per action image,
in a process of its own. Knows no Django. POSE_DETECTOR says what reads the joints:

    mediapipe (default)   the detectors of generation.vision, which need nothing else
    openpose              controlnet_aux's detector, which imports torch and takes seconds to do so. Its
                          weights come from POSE_DETECTOR_MODEL: a Hub id (default lllyasviel/Annotators) or
                          a folder that holds body_pose_model.pth, and are for non-commercial use (CMU's)

Exits 1 with one line on stderr when there are no weights, no readable picture, or no person in it.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from pathlib import Path

from PIL import Image

from generation.models.profiles import get_profile
from generation.poses import openpose
from generation.vision.opening import as_rgb, load_upright
from generation.vision.png_chunks import lean
from generation.vision.types import Joint, Pose

DETECTORS = ("mediapipe", "openpose")
WEIGHTS = "body_pose_model.pth"
DEFAULT_MODEL = "lllyasviel/Annotators"
DEFAULT_REVISION = "982e7edaec38759d914a963c48c4726685de7d96"
NOBODY = "no person was found in the picture: use one that shows the whole body clearly"
CONTACT_SECONDS = 10.0  # for the first word from the Hub; without a network an editor waits no longer


class SkeletonError(RuntimeError):
    """No skeleton could be made; the text says why and what to do."""


def find_weights(model: str) -> Path:
    """The weights' file: in the folder ``model``, or of the Hub's ``model``, cached or fetched (209 MB)."""
    if Path(model).is_dir():
        weights = Path(model) / WEIGHTS
        if not weights.is_file():
            raise SkeletonError(f"{model} holds no {WEIGHTS}: put it there or change POSE_DETECTOR_MODEL")
        return weights
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache

    revision = DEFAULT_REVISION if model == DEFAULT_MODEL else None
    try:
        cached = try_to_load_from_cache(model, WEIGHTS, revision=revision)
        if isinstance(cached, str):
            return Path(cached)
        # One question first: the download itself asks again for a long time where there is no network.
        get_hf_file_metadata(hf_hub_url(model, WEIGHTS, revision=revision), timeout=CONTACT_SECONDS)
        return Path(hf_hub_download(model, WEIGHTS, revision=revision))
    except Exception as error:  # the Hub's client raises its own, its HTTP library's and the system's errors
        raise SkeletonError(
            f"no weights for pose detection: {model} can't be reached ({type(error).__name__}). Upload an "
            f"OpenPose skeleton instead, or set POSE_DETECTOR_MODEL to a folder with {WEIGHTS}"
        ) from error


def read_picture(path: Path) -> Image.Image:
    """RGB, upright; transparency becomes white, since a mannequin is often cut out."""
    try:
        with Image.open(io.BytesIO(lean(path.read_bytes()))) as opened:
            load_upright(opened)
            return as_rgb(opened)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SkeletonError(f"{path.name} can't be read as a picture: {error}") from error


def find_pose(picture: Image.Image) -> Pose | None:
    """The joints of the clearest person, None if there is none, read by what POSE_DETECTOR names.

    An editor's mannequin or photo needn't be of the profile's own world, so the other detectors look as well.
    Raises SkeletonError when the detector can't be used.
    """
    detector = os.environ.get("POSE_DETECTOR") or DETECTORS[0]
    if detector not in DETECTORS:
        raise SkeletonError(f"POSE_DETECTOR={detector} is not one of {', '.join(DETECTORS)}")
    if detector == "openpose":
        weights = find_weights(os.environ.get("POSE_DETECTOR_MODEL") or DEFAULT_MODEL)
        joints = openpose.read(detect_skeleton(picture, weights))
        return joints and tuple(joint and Joint(*joint, 1.0) for joint in joints)
    from generation.vision import detectors, real_people

    for see in dict.fromkeys((detectors(), real_people)):
        if pose := see.read_pose(picture):
            return pose
    return None


def detect_skeleton(picture: Image.Image, weights: Path) -> Image.Image:
    """The skeleton (RGB on black) of the people in ``picture``, of its size.

    Found and drawn at 512 pixels on the short side, where lines have the width ControlNet was trained with.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # controlnet_aux tells of every optional detector it can't import
        from controlnet_aux.open_pose import Body, OpenposeDetector

    detector = OpenposeDetector(Body(str(weights)))  # the body alone; hands and face need 300 MB more
    skeleton = detector(picture, detect_resolution=512, image_resolution=512)
    return skeleton.resize(picture.size, Image.Resampling.BILINEAR)


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: python -m generation.poses.skeleton IN OUT", file=sys.stderr)
        return 2
    source, target = map(Path, arguments)
    try:
        picture = read_picture(source)
        if (pose := find_pose(picture)) is None:
            raise SkeletonError(NOBODY)
    except SkeletonError as error:
        print(error, file=sys.stderr)
        return 1
    openpose.picture_of(pose, picture.size, get_profile().skeleton_side).save(target, format="PNG")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The files that photographs are seen with: where each lies, its licence and checksum. The list is complete.

MediaPipe's are in ``models/`` beside this file (see its NOTICE); dlib's come with the package
face-recognition-models, of which only the files named here are ever opened: its predictor of 68 points was
trained on pictures for non-commercial use, and is neither used nor passed on.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "models"
DLIB_PACKAGE = "face_recognition_models"


class ModelMissing(RuntimeError):
    """The text says what to install."""


@dataclass(frozen=True)
class ModelFile:
    name: str
    licence: str
    sha256: str
    packaged: bool = False  # in DLIB_PACKAGE instead of FOLDER

    @property
    def path(self) -> Path:
        """Raises ModelMissing when it isn't there."""
        folder = _packaged_folder() if self.packaged else FOLDER
        if not (folder / self.name).is_file():
            raise ModelMissing(f"{self.name} is missing in {folder}: run pip install -r requirements.txt")
        return folder / self.name


def _packaged_folder() -> Path:
    """Found without importing the package, whose only line of code wants an old setuptools."""
    found = importlib.util.find_spec(DLIB_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ModelMissing(f"{DLIB_PACKAGE} is not installed: run pip install -r requirements.txt")
    return Path(next(iter(found.submodule_search_locations)), "models")


FACE_NEAR = ModelFile(
    "face_detection_short_range.tflite",
    "Apache-2.0",
    "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
)
FACE_FAR = ModelFile(
    "face_detection_full_range_sparse.tflite",
    "Apache-2.0",
    "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
)
BODY = ModelFile(
    "pose_detection.tflite", "Apache-2.0", "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c"
)
JOINTS = ModelFile(
    "pose_landmark_full.tflite",
    "Apache-2.0",
    "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
)
FACE_CNN = ModelFile(
    "mmod_human_face_detector.dat",
    "CC0-1.0",
    "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6",
    packaged=True,
)
FIVE_POINTS = ModelFile(
    "shape_predictor_5_face_landmarks.dat",
    "CC0-1.0",
    "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
    packaged=True,
)
IDENTITY = ModelFile(
    "dlib_face_recognition_resnet_model_v1.dat",
    "CC0-1.0",
    "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    packaged=True,
)
FILES = (FACE_NEAR, FACE_FAR, BODY, JOINTS, FACE_CNN, FIVE_POINTS, IDENTITY)

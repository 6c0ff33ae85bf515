"""What the miniature's pictures are worth: ``make bench-quality``.

Held-out requests (people, poses, places and seeds that nothing was trained on) go through the real generator,
held-out people through the real trainer, and what comes out is read back: outline, clothes, age, gender, who
it is, what became of the place. Prints a table with 95 % intervals (bootstrap over requests), a control for
each row and the goal, draws a contact sheet, and exits with 1 if a row is below its goal.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks import measures
from generation import generator, job_folder, training_set
from generation.miniature import demo_content, detectors
from generation.miniature.training import reader
from generation.miniature.world import joints, people, scenes
from generation.miniature.world.pen import View
from generation.miniature.world.people import Person
from generation.miniature.world.scenes import HELD_OUT, Scene
from generation.models.profiles import MINIATURE, ModelProfile, TrainingSettings, get_profile
from generation.processes import lifeline, omp
from generation.request import GenerationRequest
from generation.vision import skin

ROOT = Path(__file__).resolve().parent.parent
FIRST_PERSON = HELD_OUT + 500  # seeds of the crowd of 20 whose LoRAs are trained and told apart
CROWD = 20
TRAINED = (0, 4, 16, 7, 19, 9)  # of the crowd, in this order: three young women and three old men, told apart
SHEET_COLUMNS, SHEET_PAIRS = 10, 5


@dataclass(frozen=True)
class Row:
    """One measure over all requests. ``least``: the goal is a least value, else a most."""

    name: str
    values: list[float]
    goal: float
    control: list[float] | None = None
    unit: str = ""
    least: bool = True
    control_most: float | None = None

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def met(self) -> bool:
        good = self.mean >= self.goal if self.least else self.mean <= self.goal
        if self.control_most is not None and self.control:
            good = good and float(np.mean(self.control)) <= self.control_most
        return good

    def interval(self) -> tuple[float, float]:
        """95 % of the means of 2,000 resamples."""
        values, rng = np.asarray(self.values, float), np.random.default_rng(0)
        means = values[rng.integers(len(values), size=(2000, len(values)))].mean(1)
        return tuple(np.percentile(means, (2.5, 97.5)))

    def line(self) -> str:
        low, high = self.interval()
        control = f"{np.mean(self.control):.2f}" if self.control else "-"
        goal, verdict = f"{'>=' if self.least else '<='} {self.goal:g}", "met" if self.met else "NOT MET"
        value = f"{self.mean:>8.2f} {self.unit:<3}[{low:6.2f},{high:7.2f}]"
        return f"{self.name:<40}{value}{len(self.values):>6}{control:>9}   {goal:<10}{verdict}"


# --- requests -----------------------------------------------------------------------------------------------


def held_out_scene(index: int, person: Person | None = None, shot: str | None = None) -> Scene:
    """Request ``index`` as it should look; shot types in turn."""
    return scenes.random_scene(
        HELD_OUT + index,
        person or people.random_person(HELD_OUT + index),
        shot or joints.SHOT_TYPES[index % 3],
    )


def write_job(
    job: Path,
    scene: Scene,
    seed: int,
    lora: Path | None = None,
    faces: list[list[float]] | None = None,
    skin_tone: str = "",
) -> None:
    """The folder of a generation that asks for ``scene``, in words, skeleton and masks."""
    job.mkdir(parents=True)
    scenes.draw_background(scene).save(job / "background.png")
    scenes.skeleton(scene).save(job / "skeleton.png")
    scenes.subject_mask(scene).save(job / "subject-mask.png")
    scenes.head_mask(scene).save(job / "face-mask.png")
    if lora:
        (job / "lora.safetensors").write_bytes(lora.read_bytes())
    GenerationRequest(
        code="00000000",
        profile="miniature",
        seed=seed,
        background="background.png",
        skeleton="skeleton.png",
        subject_mask="subject-mask.png",
        face_mask="face-mask.png",
        age=scene.person.age,
        gender=scene.person.gender,
        action_description=joints.ACTIONS[scene.action].description,
        other_details=scene.clothes,
        place_description=scene.place.description,
        lora="lora.safetensors" if lora else None,
        lora_code="00000000" if lora else None,
        faces=faces,
        skin_tone=skin_tone,
    ).save(job)


@dataclass(frozen=True)
class Painted:
    """A request and its pictures: after each step by number, as the job's folder holds them."""

    scene: Scene
    steps: dict[int, Image.Image]
    seconds: float

    @property
    def last(self) -> Image.Image:
        return self.steps[max(self.steps)]

    @property
    def background(self) -> Image.Image:
        return self.steps[0]


def paint(work: Path, name: str, scene: Scene, seed: int, *visitor) -> Painted:
    """``visitor``: their LoRA's file, their photos' embeddings, and the tone of their skin."""
    job = work / name
    write_job(job, scene, seed, *visitor)
    began = time.perf_counter()
    generator.generate(job)
    seconds = time.perf_counter() - began
    steps = {}
    for index in range(job_folder.newest_index(job) + 1):
        with Image.open(job_folder.picture_path(job, index)) as picture:
            steps[index] = picture.convert("RGB")
    return Painted(scene, steps, seconds)


# --- training -----------------------------------------------------------------------------------------------


def train_lora(
    work: Path,
    person: Person,
    seed: int,
    training: TrainingSettings | None = None,
    profile: ModelProfile = MINIATURE,
) -> tuple[Path, float]:
    """A LoRA of the person's five photos by the trainer that serves visitors; its file, and seconds."""
    code = f"{seed % 10**8:08d}"
    training = training or profile.training
    photos = []
    for number, photo in enumerate(demo_content.photos_of(person, seed), start=1):
        photos.append(work / f"{code}-{number}.jpg")
        photo.save(photos[-1], quality=95)
    training_set.write(photos, work / "training-app" / "training-input" / code, training, detectors)
    kept = work / f"{code}.safetensors"
    with delivery(kept) as url:
        environment = os.environ | omp.waiting() | training.environment()
        environment |= {
            "PYTHON": sys.executable,
            "MODEL": profile.training_model.id,
            "TRAINING_APP_DIR": str(work / "training-app"),
            "SERVER_URL": url,
            "LORA_CODE": code,
            "CALLBACK_TOKEN": "none",
        }
        began = time.perf_counter()
        done = subprocess.run(
            lifeline.tied(["bash", str(ROOT / "training-app" / "launch.bash"), code]),
            env=environment,
            capture_output=True,
            text=True,
        )
    if done.returncode or not kept.exists():
        raise SystemExit(f"the training of {code} failed: {done.stderr[-500:]}")
    return kept, time.perf_counter() - began


@contextlib.contextmanager
def delivery(kept: Path):
    """The address of a server that takes one LoRA from post-back.py and keeps it as a file."""
    import email
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kind = b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n"
            for part in email.message_from_bytes(kind + body).get_payload():
                if part.get_param("name", header="content-disposition") == "lora":
                    kept.write_bytes(part.get_payload(decode=True))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


# --- measures -----------------------------------------------------------------------------------------------


def vae_rows(count: int) -> list[Row]:
    """Copies of held-out scenes, and of face crops at the face step's resolution."""
    from generation.models import pipelines

    vae = pipelines.PipelineCache().pipeline("face", get_profile("miniature")).vae
    values = {"whole": [], "faces": []}
    for index in range(count):
        scene = held_out_scene(index)
        half, (x, y) = scene.pose.head_half, scene.pose.head
        side = 5.2 * half
        close = View(x - side / 2, y - side / 2, side, get_profile("miniature").face_resolution)
        for name, view in (("whole", View()), ("faces", close)):
            picture = scenes.draw_scene(scene, view)
            tensor = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 127.5 - 1
            with torch.no_grad():
                copy = vae.decode(vae.encode(tensor.to(vae.dtype)).latents).sample.float().clamp(-1, 1)
            copy = ((copy[0].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
            values[name].append(measures.psnr(Image.fromarray(copy), picture))
    return [
        Row("VAE, whole scenes", values["whole"], 28, unit="dB"),
        Row("VAE, face crops", values["faces"], 26, unit="dB"),
    ]


def readings(picture: Image.Image, scene: Scene) -> list[float]:
    """Outline IoU, and 1 or 0 for the right clothes, age and gender, of one picture."""
    mask = scenes.subject_mask(scene)
    outline = measures.painted_outline(picture, scenes.draw_background(scene), mask)
    face = reader.read_face(picture, scenes.face_mask(scene))
    return [
        measures.iou(outline, np.asarray(scenes.silhouette(scene)) > 127),
        measures.clothes_colour(picture, scene.pose) == scene.colour,
        face.age == scene.person.age,
        face.gender == scene.person.gender,
    ]


READINGS = f"{'outline IoU':>14}{'clothes':>10}{'age':>8}{'gender':>8}"


def readings_line(name: str, pictures: list[Image.Image], asked: list[Scene]) -> str:
    values = [readings(picture, scene) for picture, scene in zip(pictures, asked, strict=True)]
    outline, clothes, age, gender = np.mean(np.asarray(values, float), axis=0)
    return f"{name:<36}{outline:>14.2f}{clothes:>10.2f}{age:>8.2f}{gender:>8.2f}"


def step_table(painted: list[Painted]) -> str:
    """What each step adds: the means of outline, clothes, age and gender, read after it."""
    names = ["pose", "detail", "detail again", "harmonize"]
    lines = [f"{'after step':<36}{READINGS}"]
    for index, name in enumerate(names, start=1):
        pictures = [p.steps[index] for p in painted]
        lines.append(readings_line(f"{index} {name}", pictures, [p.scene for p in painted]))
    return "\n".join(lines)


def scene_rows(painted: list[Painted]) -> list[Row]:
    """Pose, clothes, age, gender and place of pictures painted without a LoRA."""
    outlines = [np.asarray(scenes.silhouette(p.scene)) > 127 for p in painted]
    others = list(range(3, len(painted))) + list(range(min(3, len(painted))))  # same shot, another request
    found = [measures.painted_outline(p.last, p.background, scenes.subject_mask(p.scene)) for p in painted]
    colours = [measures.clothes_colour(p.last, p.scene.pose) for p in painted]
    faces = [reader.read_face(p.last, scenes.face_mask(p.scene)) for p in painted]
    masks = [scenes.subject_mask(p.scene) for p in painted]

    def right(read: list[str], field) -> tuple[list[float], list[float]]:
        asked = [field(p.scene) for p in painted]
        return (
            [float(a == b) for a, b in zip(read, asked, strict=True)],
            [float(a == asked[o]) for a, o in zip(read, others, strict=True)],
        )

    kept = [
        measures.identical_outside(p.steps[3], p.background, m) for p, m in zip(painted, masks, strict=True)
    ]
    similar = [
        measures.ssim_outside(p.steps[4], p.background, m) for p, m in zip(painted, masks, strict=True)
    ]
    ages = right([face.age for face in faces], lambda scene: scene.person.age)
    genders = right([face.gender for face in faces], lambda scene: scene.person.gender)
    clothes = right(colours, lambda scene: scene.colour)
    return [
        Row(
            "pose: IoU of outlines",
            [measures.iou(a, b) for a, b in zip(found, outlines, strict=True)],
            0.75,
            [measures.iou(a, outlines[o]) for a, o in zip(found, others, strict=True)],
            control_most=0.40,
        ),
        Row("clothes colour read back", clothes[0], 0.95, clothes[1]),
        Row(f"age read back (reader alone {reader.accuracy()['age']:.2f})", ages[0], 0.85, ages[1]),
        Row(
            f"gender read back (reader alone {reader.accuracy()['gender']:.2f})", genders[0], 0.85, genders[1]
        ),
        Row("place identical before harmonize", [float(k) for k in kept], 1.0),
        Row("place after harmonize, SSIM", similar, 0.95),
    ]


def gallery() -> list[reader.Reading]:
    """How each of the crowd is known: the mean reading of their five photos."""
    known = []
    for number in range(CROWD):
        seed = FIRST_PERSON + number
        taken = demo_content.photo_scenes(people.random_person(seed), seed)
        crops = [
            reader.crop(scenes.draw_scene(scene, view), reader.crop_box(scenes.face_mask(scene, view)))
            for scene, view in taken
        ]
        readings = reader.read(crops)
        mean = np.mean([reading.embedding for reading in readings], axis=0)
        known.append(dataclasses.replace(readings[0], embedding=mean))
    return known


def nearest(face: reader.Reading, known: list[reader.Reading]) -> int:
    return int(np.argmin([face.distance(other) for other in known]))


def seen_in_photos(person: Person, seed: int) -> tuple[list[list[float]], str]:
    """What the photo gate keeps of a person's five photos: embeddings, and the tone of the skin."""
    photos = [(photo, detectors.find_faces(photo)) for photo in demo_content.photos_of(person, seed)]
    faces = [detectors.embed_face(photo, found[0]).tolist() for photo, found in photos if found]
    return faces, skin.tone([skin.measure(photo, found[0]) for photo, found in photos if found])


def identity_rows(work: Path, count: int, each: int, sheet: list) -> list[Row]:
    """``count`` of the crowd get a LoRA, and each is painted ``each`` times at every shot type.

    Two of one age and gender are asked for in the same words, with the same skeleton and seed.
    """
    known = gallery()
    hits = {shot: ([], []) for shot in joints.SHOT_TYPES}
    training_seconds, picture_seconds = [], []
    for done, number in enumerate(TRAINED[:count], start=1):
        seed = FIRST_PERSON + number
        person = people.random_person(seed)
        lora, seconds = train_lora(work, person, seed)
        training_seconds.append(seconds)
        say(f"trained person {done} of {count} in {seconds:.0f} s")
        faces, tone = seen_in_photos(person, seed)
        for shot in joints.SHOT_TYPES:
            for k in range(each):
                scene = held_out_scene(200 + k * 3, person, shot)
                painted = paint(work, f"face-{number}-{shot}-{k}", scene, 7 + k, lora, faces, tone)
                picture_seconds.append(painted.seconds)
                mask = scenes.face_mask(scene)
                with_lora, without = (reader.read_face(painted.steps[i], mask) for i in (5, 4))
                hits[shot][0].append(float(nearest(with_lora, known) == number))
                hits[shot][1].append(float(nearest(without, known) == number))
                if k == 0:
                    sheet.append((person, seed, shot, painted))
    near = [hits[shot][side] for side in (0, 1) for shot in ("CLS", "MES")]
    return [
        Row("identity among 20, CLS and MES", near[0] + near[1], 0.80, near[2] + near[3]),
        Row("identity among 20, FUS", hits["FUS"][0], 0.60, hits["FUS"][1]),
        Row("LoRA training, seconds", training_seconds, 180, unit="s", least=False),
        Row("whole picture with a face, seconds", picture_seconds, 20, unit="s", least=False),
    ]


# --- sheet --------------------------------------------------------------------------------------------------


def draw_sheet(painted: list[Painted], faces: list, path: Path) -> None:
    """Above: asked and painted, in pairs. Below, in each row, two people of one age and gender: one's photos
    and pictures, then the same requests with the same seeds for the other, and the other's photos."""
    tiles = []
    for k in range(0, len(painted), SHEET_COLUMNS):
        part = painted[k : k + SHEET_COLUMNS]
        tiles += [[scenes.draw_scene(p.scene) for p in part], [p.last for p in part]]
    shown: dict[int, tuple[Person, list[Image.Image]]] = {}
    for person, seed, _, picture in faces:
        shown.setdefault(seed, (person, []))[1].append(picture.last)
    pairs = [
        (one, other)
        for one, other in itertools.combinations(shown, 2)
        if (shown[one][0].age, shown[one][0].gender) == (shown[other][0].age, shown[other][0].gender)
    ]
    for pair in pairs[:SHEET_PAIRS]:
        left, right = (
            demo_content.photos_of(shown[seed][0], seed, side=256)[:2] + shown[seed][1] for seed in pair
        )
        tiles.append(left + right[2:] + right[:2])
    side = 192
    sheet = Image.new("RGB", (SHEET_COLUMNS * side, len(tiles) * side), "white")
    for y, row in enumerate(tiles):
        for x, tile in enumerate(row[:SHEET_COLUMNS]):
            sheet.paste(tile.resize((side, side), Image.Resampling.LANCZOS), (x * side, y * side))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=80)


def say(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--people", type=int, default=len(TRAINED), help="who get a LoRA")
    parser.add_argument("--each", type=int, default=3, help="pictures of a person at each shot type")
    parser.add_argument("--sheet", type=Path, default=ROOT / "docs" / "quality.jpg")
    args = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="cartolina-quality-") as name:
        work = Path(name)
        rows, painted, faces = vae_rows(min(40, args.requests)), [], []
        for index in range(args.requests):
            painted.append(paint(work, f"scene-{index}", held_out_scene(index), index))
            if (index + 1) % 10 == 0:
                say(f"painted {index + 1} of {args.requests}")
        rows += scene_rows(painted)
        if args.people:
            rows += identity_rows(work, args.people, args.each, faces)
        draw_sheet(painted, faces, args.sheet)
    print(f"{'measure':<40}{'mean':>8}{'95 %':>14}{'n':>10}{'control':>9}   goal")
    for row in rows:
        print(row.line())
    print(f"\n{step_table(painted)}\n")
    print(f"{args.sheet}; {(time.perf_counter() - began) / 60:.0f} minutes")
    sys.exit(0 if all(row.met for row in rows) else 1)


if __name__ == "__main__":
    main()

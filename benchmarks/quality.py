"""What the miniature's pictures are worth: ``make bench-quality``.

Held-out requests (people, poses, places and seeds that nothing was trained on) go through the real generator,
held-out people through the real trainer, and what comes out is read back by the judge, a reader of faces that
chose nothing (``judge.reader``). Prints a table with 95 % intervals (bootstrap over requests), a control for
each row, the same by the older reader ("1st"), and the goal; draws a contact sheet, and exits with 1 if a row
is below its goal. The rows at the end have no goal and say more about the same pictures.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmarks.harness.trainings import kept_lora
from benchmarks.judge import identity, rows, vae
from benchmarks.judge.painted import Painted, PaintedVisitor
from benchmarks.judge.table import HEADER, Row
from generation import generator, job_folder
from generation.miniature import demo_content, detectors
from generation.miniature.world import joints, people, scenes
from generation.miniature.world.pen import View
from generation.miniature.world.people import Person
from generation.miniature.world.scenes import HELD_OUT, Scene
from generation.request import GenerationRequest
from generation.vision import looks, skin

ROOT = Path(__file__).resolve().parent.parent
SHEET_COLUMNS, SHEET_PAIRS = 10, 5
PHOTOGRAPH = 512  # pixels: a place's sides; the canvas has half as many
STRANGERS = "pictures that a stranger would keep, of 30: >= 24, by eye (python -m benchmarks.strangers)"


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
    visitor_skin: list[float] | None = None,
    visitor_looks: dict[str, str] | None = None,
) -> None:
    """The folder of a generation that asks for ``scene``, in words, skeleton and masks."""
    job.mkdir(parents=True)
    scenes.draw_background(scene, View(pixels=PHOTOGRAPH)).save(job / "background.png")
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
        skin=visitor_skin or [],
        looks=visitor_looks or {},
    ).save(job)


def paint(work: Path, name: str, scene: Scene, seed: int, *visitor) -> Painted:
    """``visitor``: their LoRA's file, then what ``seen_in_photos`` found."""
    job = work / name
    write_job(job, scene, seed, *visitor)
    began = time.perf_counter()
    finished = generator.generate(job)
    seconds = time.perf_counter() - began
    steps = {}
    for index in range(job_folder.newest_index(job) + 1):
        with Image.open(job_folder.picture_path(job, index)) as picture:
            steps[index] = picture.convert("RGB")
    with Image.open(finished) as picture:
        return Painted(scene, steps, picture.convert("RGB"), seconds)


Seen = tuple[list[list[float]], str, list[float], dict[str, str]]  # embeddings, skin tone, skin and looks


def seen_in_photos(person: Person, seed: int) -> Seen:
    """What the photo gate keeps of a person's five photos."""
    photos = [(photo, detectors.find_faces(photo)) for photo in demo_content.photos_of(person, seed)]
    seen = [(photo, found[0]) for photo, found in photos if found]
    faces = [detectors.embed_face(photo, face).tolist() for photo, face in seen]
    skins = [skin.measure(photo, face) for photo, face in seen]
    seen_looks = looks.settled([detectors.read_looks(photo, face) for photo, face in seen])
    return faces, skin.tone(skins), skin.colour(skins), seen_looks


@dataclass(frozen=True)
class Visitor:
    """One of the crowd, with a trained LoRA."""

    number: int
    person: Person
    seed: int  # of the person's photos
    lora: Path
    training_seconds: float
    seen: Seen  # in the photos

    def paint(self, work: Path, name: str, scene: Scene, seed: int) -> Painted:
        return paint(work, name, scene, seed, self.lora, *self.seen)


def trained_visitor(number: int, loras: Path) -> Visitor:
    """``loras``: the folder that keeps the LoRAs."""
    seed = identity.FIRST_PERSON + number
    person = people.random_person(seed)
    lora, seconds = kept_lora(loras, person, seed)
    return Visitor(number, person, seed, lora, seconds, seen_in_photos(person, seed))


def paint_visitors(
    work: Path, loras: Path, count: int, each: int
) -> tuple[list[PaintedVisitor], list[float]]:
    """``count`` of the crowd get a LoRA, and each is painted ``each`` times at every shot type; and the
    seconds of the trainings.

    Two of one age and gender are asked for in the same words, with the same skeleton and seed.
    """
    pictures, training_seconds = [], []
    for done, number in enumerate(identity.TRAINED[:count], start=1):
        visitor = trained_visitor(number, loras)
        training_seconds.append(visitor.training_seconds)
        say(f"trained person {done} of {count} in {visitor.training_seconds:.0f} s")
        for shot in joints.SHOT_TYPES:
            for k in range(each):
                scene = held_out_scene(200 + k * 3, visitor.person, shot)
                painted = visitor.paint(work, f"face-{number}-{shot}-{k}", scene, 7 + k)
                pictures.append(PaintedVisitor(number, shot, painted))
    return pictures, training_seconds


# --- sheet --------------------------------------------------------------------------------------------------


def draw_sheet(painted: list[Painted], visitors: list[PaintedVisitor], path: Path) -> None:
    """Above: asked and painted, in pairs. Below, in each row, two people of one age and gender: one's photos
    and pictures, then the same requests with the same seeds for the other, and the other's photos."""
    tiles = []
    for k in range(0, len(painted), SHEET_COLUMNS):
        part = painted[k : k + SHEET_COLUMNS]
        tiles += [[scenes.draw_scene(p.scene) for p in part], [p.last for p in part]]
    shown: dict[int, tuple[Person, list[Image.Image]]] = {}
    for (number, _), visitor in {(v.number, v.shot): v for v in reversed(visitors)}.items():
        person = visitor.painted.scene.person
        shown.setdefault(identity.FIRST_PERSON + number, (person, []))[1].insert(0, visitor.painted.last)
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
    parser.add_argument("--people", type=int, default=identity.CROWD, help="who get a LoRA")
    parser.add_argument("--each", type=int, default=3, help="pictures of a person at each shot type")
    parser.add_argument("--work", type=Path, help="a folder that keeps the LoRAs for another run")
    parser.add_argument("--sheet", type=Path, default=ROOT / "docs" / "quality.jpg")
    args = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="cartolina-quality-") as name:
        work = Path(name)
        table = vae.rows([held_out_scene(index) for index in range(min(40, args.requests))])
        painted = []
        for index in range(args.requests):
            painted.append(paint(work, f"scene-{index}", held_out_scene(index), index))
            if (index + 1) % 10 == 0:
                say(f"painted {index + 1} of {args.requests}")
        visitors, seconds = paint_visitors(work, args.work or work, args.people, args.each)
        table += rows.scene_rows(painted)
        also = rows.place_rows(painted) + rows.whole_face_rows("whole faces without a visitor", painted)
        if visitors:
            found, more = rows.visitor_rows(visitors)
            table, also = table + found, also + more
        pictures = [visitor.painted for visitor in visitors]
        whole, *parts = rows.whole_face_rows("whole faces", pictures or painted, 0.95)
        table, also = [*table, whole], also + parts
        table.append(rows.whole_limbs_row(painted + pictures))
        if visitors:
            took = [picture.seconds for picture in pictures]
            table.append(Row("whole picture with a face, seconds", took, 8, unit="s", least=False))
            table.append(Row("LoRA training, seconds", seconds, 180, unit="s", least=False))
        draw_sheet(painted, visitors, args.sheet)
    print(HEADER, *(row.line() for row in table), STRANGERS, "", *(row.line() for row in also), sep="\n")
    print(f"\n{rows.step_table(painted)}\n")
    print(f"{args.sheet}; {(time.perf_counter() - began) / 60:.0f} minutes")
    sys.exit(0 if all(row.met for row in table + also) else 1)


if __name__ == "__main__":
    main()

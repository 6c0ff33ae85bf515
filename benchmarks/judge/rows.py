"""What is read in painted pictures, and the rows of the quality table that come of it."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image

from benchmarks import measures
from benchmarks.judge import faces, identity, limbs
from benchmarks.judge import reader as judge
from benchmarks.judge.painted import Painted, PaintedVisitor
from benchmarks.judge.table import Row, shares
from generation.miniature.training import reader as first_reader
from generation.miniature.world import people, scenes
from generation.miniature.world.scenes import Scene


def readings(picture: Image.Image, scene: Scene) -> list[float]:
    """Outline IoU, and 1 or 0 for the right clothes, age and gender, of one picture."""
    mask = scenes.subject_mask(scene)
    outline = measures.painted_outline(picture, scenes.draw_background(scene), mask)
    face = first_reader.read_face(picture, scenes.face_mask(scene))
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
    """Detail, pose, clothes, age and gender of pictures painted without a LoRA."""
    outlines = [np.asarray(scenes.silhouette(p.scene)) > 127 for p in painted]
    found = [measures.painted_outline(p.last, p.background, scenes.subject_mask(p.scene)) for p in painted]
    colours = [measures.clothes_colour(p.last, p.scene.pose) for p in painted]
    # The first reader tells ages and genders better than the judge, and chooses nothing either.
    faces_read = [first_reader.read_face(p.last, scenes.face_mask(p.scene)) for p in painted]
    asked = {
        "colour": [p.scene.colour for p in painted],
        "age": [p.scene.person.age for p in painted],
        "gender": [p.scene.person.gender for p in painted],
    }

    def right(name: str, read: list[str], of: list[str] | None = None) -> list[float]:
        return shares([a == b for a, b in zip(read, of or asked[name], strict=True)])

    def read_back(name: str) -> Row:
        read = [getattr(face, name) for face in faces_read]
        alone = first_reader.accuracy()[name]
        theirs = right(name, read, others(asked[name]))
        return Row(f"{name} read back (reader alone {alone:.2f})", right(name, read), 0.9, theirs)

    fine = [
        measures.fine_contrast(p.last, outline) / measures.fine_contrast(scenes.draw_scene(p.scene), outline)
        for p, outline in zip(painted, outlines, strict=True)
    ]
    return [
        Row("finest contrast, share of the drawing's", fine, 0.8),
        Row(
            "outline IoU with the asked pose",
            [measures.iou(a, b) for a, b in zip(found, outlines, strict=True)],
            0.85,
            [measures.iou(a, b) for a, b in zip(found, others(outlines), strict=True)],
            control_most=0.40,
        ),
        Row(
            "clothes colour read back", right("colour", colours), 0.98,
            right("colour", colours, others(asked["colour"])),
        ),
        read_back("age"),
        read_back("gender"),
    ]  # fmt: skip


def others(values: list) -> list:
    """For each request the value of another one of the same shot type."""
    return values[3:] + values[:3]


def place_rows(painted: list[Painted]) -> list[Row]:
    """What became of the place."""
    masks = [scenes.subject_mask(p.scene) for p in painted]
    kept = [
        measures.identical_outside(p.steps[3], p.background, m) for p, m in zip(painted, masks, strict=True)
    ]
    similar = [
        measures.ssim_outside(p.steps[4], p.background, m) for p, m in zip(painted, masks, strict=True)
    ]
    return [
        Row("place identical before harmonize", shares(kept), 1.0),
        Row("place after harmonize, SSIM", similar, 0.95),
    ]


def whole_face_rows(name: str, painted: list[Painted], goal: float | None = None) -> list[Row]:
    """All parts of the face, then each. The control: where another request's skeleton has the head."""
    poses = [p.scene.pose for p in painted]

    def whole(poses: list) -> list[dict[str, bool]]:
        pairs = zip(painted, poses, strict=True)
        return [faces.whole_parts(p.last, p.background, pose) for p, pose in pairs]

    own, control = whole(poses), whole(others(poses))
    all_own, all_control = (shares([all(parts.values()) for parts in found]) for found in (own, control))
    rows = [Row(name, all_own, goal, all_control)]
    for part in faces.PARTS:
        of_own, of_control = (shares([parts[part] for parts in found]) for found in (own, control))
        rows.append(Row(f"{name}: {part}", of_own, control=of_control))
    return rows


def whole_limbs_row(painted: list[Painted]) -> Row:
    """The control: by another request's skeleton."""
    poses = [p.scene.pose for p in painted]

    def whole(poses: list) -> list[float]:
        pairs = zip(painted, poses, strict=True)
        return shares([limbs.whole_limbs(p.last, p.background, pose) for p, pose in pairs])

    return Row("whole limbs", whole(poses), 0.95, whole(others(poses)))


def visitor_rows(visitors: list[PaintedVisitor]) -> tuple[list[Row], list[Row]]:
    """Identity and hair; and more that is told of the visitors' heads, without a goal."""
    known, first_known = identity.gallery(), identity.first_gallery()
    heads, bodies = (
        [judge.read_head(picture, v.painted.scene.pose) for v, picture in zip(visitors, shown, strict=True)]
        for shown in ([v.painted.last for v in visitors], [v.painted.steps[4] for v in visitors])
    )
    first = [first_reader.read_face(v.painted.last, scenes.face_mask(v.painted.scene)) for v in visitors]

    def identity_row(name: str, shots: tuple[str, ...], goal: float) -> Row:
        rows = [k for k, v in enumerate(visitors) if v.shot in shots]

        def found(faces: list, crowd: list) -> list[float]:
            return shares([identity.nearest(faces[k], crowd) == visitors[k].number for k in rows])

        with_lora, without = found(heads, known), found(bodies, known)
        return Row(f"identity among 20, {name}", with_lora, goal, without, first=found(first, first_known))

    persons = [v.painted.scene.person for v in visitors]
    order = sorted(set(v.number for v in visitors))
    another = {
        number: people.random_person(identity.FIRST_PERSON + order[k - 1]) for k, number in enumerate(order)
    }
    strangers = [another[v.number] for v in visitors]

    def told(name: str, right) -> Row:
        """The control: whether it is the next person's."""
        own, theirs = (
            shares([right(head, person) for head, person in zip(heads, of, strict=True)])
            for of in (persons, strangers)
        )
        return Row(name, own, control=own and theirs)

    hair = dataclasses.replace(told("hair colour and style read back", judge.Reading.has_hair_of), goal=0.9)
    apart = [identity.distances(h, known, v.number) for h, v in zip(heads, visitors, strict=True)]
    drawn = [
        identity.distances(reading, known, number)
        for number in range(identity.CROWD)
        for reading in identity.photo_readings(number)
    ]
    also = [
        told("hair style read back", lambda head, person: head.style == judge.style_of(person)),
        told("beard read back", lambda head, person: head.beard == judge.beard_of(person)),
        told("glasses read back", lambda head, person: head.glasses == judge.glasses_of(person)),
        Row("face seen whole by the judge", shares([head.is_whole for head in heads])),
        Row(
            "distance to the person; to the nearest other",
            [a for a, _ in apart],
            control=[b for _, b in apart],
        ),
        Row("the same of their photos as drawn", [a for a, _ in drawn], control=[b for _, b in drawn]),
    ]
    near, far = identity_row("CLS and MES", ("CLS", "MES"), 0.85), identity_row("FUS", ("FUS",), 0.7)
    return [near, far, hair], also

"""Joints and outlines of drawn people at known poses, and of their faces. ``make bench``

Of 100 scenes that nothing was trained on: how far each joint is from where it was drawn, in body heights; how
much of the outline is right; and on 60 people's five photos, how near one person's faces are to each other.
"""

from __future__ import annotations

import math
import statistics
import time

import numpy as np

from generation.miniature import demo_content, detectors
from generation.miniature.world import joints, people, scenes
from generation.miniature.world.pen import View
from generation.poses.openpose import NAMES
from generation.vision import real_people
from generation.vision.compare import SAME_PERSON

SCENES, PEOPLE, PIXELS = 100, 60, 512


def measure_joints() -> None:
    by_joint: dict[str, list[float]] = {name: [] for name in NAMES}
    by_shot: dict[str, list[float]] = {shot: [] for shot in joints.SHOT_TYPES}
    overlaps, seconds, missed, missed_by_body = [], [], 0, 0
    for seed in range(SCENES):
        scene, view = scenes.random_scene(scenes.HELD_OUT + seed), View(pixels=PIXELS)
        picture = scenes.draw_scene(scene, view)
        began = time.perf_counter()
        pose = detectors.read_pose(picture)
        seconds.append(time.perf_counter() - began)
        missed_by_body += real_people.read_pose(picture) is None
        if pose is None:
            missed += 1
            continue
        off = []
        for name, joint, known in zip(NAMES, pose, scene.pose.visible(), strict=True):
            if joint and known:
                place = (joint.x / view.scale, joint.y / view.scale)
                off.append(math.dist(place, known) / scene.pose.height)
                by_joint[name].append(off[-1])
        by_shot[scene.shot].append(statistics.mean(off))
        seen = np.asarray(detectors.person_mask(picture)) > 127
        known = np.asarray(scenes.silhouette(scene, view)) > 127
        overlaps.append((seen & known).sum() / (seen | known).sum())
    errors = [error for all_ in by_joint.values() for error in all_]
    print(
        f"{SCENES} drawn people, {missed} not seen ({missed_by_body} by the detectors for photographs),",
        end=" ",
    )
    print(
        f"{statistics.median(seconds):.2f} s each; joints off by {statistics.mean(errors):.1%} of the height"
    )
    print("  " + ", ".join(f"{shot} {statistics.mean(values):.1%}" for shot, values in by_shot.items()))
    worst = sorted(((statistics.mean(v), name) for name, v in by_joint.items() if v), reverse=True)[:4]
    print("  worst: " + ", ".join(f"{name} {value:.1%}" for value, name in worst))
    print(f"  outline: {statistics.mean(overlaps):.1%} of the union is shared, at least {min(overlaps):.1%}")


def measure_faces() -> None:
    rows, counts = [], []
    for number in range(PEOPLE):
        person = people.random_person(scenes.HELD_OUT + number)
        photos = demo_content.photos_of(person, scenes.HELD_OUT + number)
        found = [detectors.find_faces(photo) for photo in photos]
        counts += [len(faces) for faces in found]
        rows.append(
            [
                detectors.embed_face(photo, faces[0])
                for photo, faces in zip(photos, found, strict=True)
                if faces
            ]
        )
    same = [math.dist(a, b) for row in rows for k, a in enumerate(row) for b in row[:k]]
    other = [math.dist(rows[n][0], rows[m][-1]) for n in range(PEOPLE) for m in range(n)]
    print(f"{len(counts)} photos of {PEOPLE} drawn people: {counts.count(1)} with one face,", end=" ")
    print(f"{counts.count(0)} with none")
    print(f"  the same person: mean {statistics.mean(same):.2f}, most {max(same):.2f}", end="; ")
    print(
        f"others: mean {statistics.mean(other):.2f}, least {min(other):.2f}, nearer than {SAME_PERSON}:",
        end=" ",
    )
    print(f"{sum(value <= SAME_PERSON for value in other)} of {len(other)} pairs")


def main() -> None:
    measure_joints()
    measure_faces()


if __name__ == "__main__":
    main()

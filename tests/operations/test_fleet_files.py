"""The files for a fleet use names that exist. `make lint` looks at their form."""

import json
import re
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.db import connection

from benchmarks.harness.catalogue import make_catalogue
from benchmarks.harness.clients import make_job
from diffuser_api.jobs import status_changes
from diffuser_api.operations import metrics
from djangoproject.settings import READ_ELSEWHERE, env

ROOT = Path(settings.BASE_DIR)
FLEET = ROOT / "docs" / "fleet"
SYSTEMS = {"HOME", "HF_HOME"}


def expressions() -> list[str]:
    panels = json.loads((FLEET / "dashboard.json").read_text())["panels"]
    [group] = yaml.safe_load((FLEET / "alerts.yaml").read_text())["groups"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    return shown + [rule["expr"] for rule in group["rules"]]


def test_dashboard_and_alerts_read_numbers_that_there_are(db):
    told = set(re.findall(r"^# HELP (\w+)", metrics.text().decode(), re.MULTILINE))
    read = {name for text in expressions() for name in re.findall(r"cartolina_\w+", text)}
    assert len(read) > 5 and read <= told


def documents(name: str) -> list[dict]:
    return list(yaml.safe_load_all((FLEET / "kubernetes" / name).read_text()))


def test_the_fleets_settings_are_settings():
    compose = yaml.safe_load((ROOT / "compose.scale.yaml").read_text())["services"]
    ours = [one for one in compose.values() if one["image"] == "cartolina"]
    assert {"web", "painter", "trainer"} < set(compose) and len(ours) == 5
    named = {name for one in ours for name in one["environment"]}
    settings_map, secret, *_ = documents("settings.yaml")
    named |= {*settings_map["data"], *secret["stringData"]}
    for name in ("painter.yaml", "trainer.yaml"):
        [container] = documents(name)[0]["spec"]["template"]["spec"]["containers"]
        named |= {one["name"] for one in container["env"]}
    assert named - env.known - set(READ_ELSEWHERE) - SYSTEMS == set()


@pytest.mark.parametrize("part", ["painter", "trainer"])
def test_the_number_of_workers_follows_the_jobs_that_wait_or_run(part, db):
    make_catalogue()
    make_job(), make_job()
    status_changes.claim_next()
    [scaled] = [one for one in documents("scaling.yaml") if one["metadata"]["name"] == f"cartolina-{part}"]
    [trigger] = scaled["spec"]["triggers"]
    with connection.cursor() as cursor:
        cursor.execute(trigger["metadata"]["query"])
        assert cursor.fetchone() == ({"painter": 2, "trainer": 0}[part],)

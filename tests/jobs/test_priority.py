"""Pictures whose visitors wait at a page, and trainings that give way to pictures."""

from datetime import timedelta

import pytest
from django.db.models import F

from benchmarks.harness.catalogue import make_catalogue
from benchmarks.harness.clients import make_client, make_job, make_lora, make_order, make_training
from diffuser_api.jobs import folders, orders, processes, queue, run_training, runner, status_changes
from diffuser_api.models import Job
from diffuser_api.operations import workers
from diffuser_api.operations.workers import ALL_STEPS
from generation.models.profiles import get_profile
from generation.step_table import ORDER

HOOK = "https://front.example/hook"
# Stands in for the trainer: steps that take a moment, and a checkpoint after every second one.
TRAINER = """
output=$TRAINING_APP_DIR/training-output/$1
step() { printf %s/%s-step%08d-state "$output" "$LORA_CODE" "$1"; }
for ((done = 0; done < 8; done++)); do [[ -e $(step $done) ]] && from=$done; done
for ((done = ${from:-0} + 1; done <= 8; done++)); do
    echo $done >>"$output.steps"
    ((done % 2)) || { mkdir -p "$(step $done)" && echo whole >"$(step $done)/state.pt"; }
    echo '{"step": "train", "done": '$done', "of": 8}'
    sleep 0.2
done
echo the end >&2
exit 1
"""


@pytest.fixture(autouse=True)
def catalogue(db):
    return make_catalogue()


@pytest.fixture
def trainer(monkeypatch, tmp_path):
    """Of which nothing but its files and its output is known. No photo is looked at."""
    monkeypatch.setattr(run_training.training_set, "write", lambda *photos_and_folder: None)
    launch = tmp_path / "launch.bash"
    launch.write_text(TRAINER)
    monkeypatch.setattr(run_training, "LAUNCH", launch)


def with_webhook() -> Job:
    return orders.create_job(make_order(webhook_url=HOOK))


def turns(steps=ALL_STEPS) -> list[int]:
    return [job.pk for job in queue.in_turn(steps)]


def make_older(job: Job, seconds: float) -> Job:
    Job.objects.filter(pk=job.pk).update(created_at=F("created_at") - timedelta(seconds=seconds))
    return job


# --- pages first --------------------------------------------------------------------------------------------


def test_a_picture_whose_visitor_waits_at_a_page_goes_before_one_with_a_webhook(settings):
    later, page = with_webhook(), make_job()
    assert turns() == [later.pk, page.pk]
    settings.PAGES_FIRST = 300
    assert turns() == [page.pk, later.pk]
    assert (queue.position(page), queue.position(later)) == (0, 1)
    assert status_changes.claim_next().pk == page.pk


def test_a_picture_with_a_webhook_is_passed_for_so_long_only(settings):
    settings.PAGES_FIRST = 300
    later, page = make_older(with_webhook(), 301), make_job()
    assert turns() == [later.pk, page.pk]


def test_trainings_keep_their_turn_while_pictures_change_places(settings, photos):
    settings.PAGES_FIRST = 300
    made = [with_webhook(), make_training(photos), make_job(), make_training(photos)]
    assert turns() == [made[2].pk, made[1].pk, made[0].pk, made[3].pk]


def test_clients_take_turns_among_the_pictures_of_pages(settings):
    settings.PAGES_FIRST = 300
    (many, _), (few, _) = make_client("many"), make_client("few")
    hooked, *own = with_webhook(), make_job(many), make_job(many)
    other = make_job(few)
    assert turns() == [own[0].pk, other.pk, own[1].pk, hooked.pk]


# --- giving way ---------------------------------------------------------------------------------------------


def run_next(steps=ALL_STEPS) -> Job:
    """The job whose turn it is, as it is after its run."""
    job = status_changes.claim_next(steps)
    runner.run(job, steps=steps)
    return Job.objects.get(pk=job.pk)


def steps_done(training: Job) -> list[int]:
    """In the order in which the trainer did them, those of all runs."""
    return [int(line) for line in folders.training_output(f"{training.code}.steps").read_text().split()]


def test_a_training_gives_way_at_a_checkpoint_to_a_picture_that_waits_for_too_long(trainer, photos):
    training, picture = make_training(photos), make_older(make_job(), 61)
    left = run_next()
    assert (left.pk, left.status, left.attempt, left.photos.count()) == (training.pk, "queued", 1, 5)
    later = make_job()
    assert turns() == [picture.pk, training.pk, later.pk]
    assert [queue.position(job) for job in (picture, training, later)] == [0, 1, 2]
    assert status_changes.claim_next().pk == picture.pk
    ended = run_next()
    assert (ended.pk, ended.attempt, ended.error_message) == (training.pk, 1, "the end")
    steps = steps_done(training)
    assert set(steps) == set(range(1, 9)) and len(steps) <= 8 + 2  # it lost no more than a checkpoint


def test_a_training_ends_however_many_pictures_come(trainer, photos):
    training, runs = make_training(photos), 0
    for _ in range(20):
        make_older(make_job(), 61)
        job = status_changes.claim_next()
        if job.kind == Job.Kind.TRAINING:
            runner.run(job, steps=ALL_STEPS)
            runs += 1
        else:
            status_changes.fail(job, "test", "painted")
    ended = Job.objects.get(pk=training.pk)
    assert (ended.error_message, ended.attempt) == ("the end", 1) and 2 <= runs <= 4


@pytest.mark.parametrize(
    ("why", "steps"),
    [
        ("the picture has not waited for long", ALL_STEPS),
        ("the worker only trains", ("train",)),
        ("another worker paints", ALL_STEPS),
        ("the setting is off", ALL_STEPS),
        ("a worker elsewhere would begin the training again", ALL_STEPS),
    ],
)
def test_a_training_does_not_give_way_without_need(why, steps, trainer, photos, settings):
    training = make_training(photos)
    make_older(make_job(), 10 if "not waited" in why else 61)
    if "another" in why:
        workers.register("painter", ORDER)
    if "elsewhere" in why:
        workers.register("elsewhere", ("train",))
    settings.TRAINING_YIELDS_AFTER = 0 if "off" in why else 60
    ended = run_next(steps)
    assert (ended.pk, ended.error_message) == (training.pk, "the end")
    assert steps_done(training) == list(range(1, 9))


def test_a_training_gives_way_although_the_other_worker_trains_too(trainer, photos):
    other, training = make_training(photos), make_training(photos)
    name = f"{processes.machine()}-1-1"
    workers.register(name, ALL_STEPS)
    Job.objects.filter(pk=other.pk).update(status="running", worker=name)
    make_older(make_job(), 61)
    assert run_next().pk == training.pk
    assert Job.objects.get(pk=training.pk).status == "queued"


def test_a_training_that_gave_way_teaches_no_estimate(photos):
    training = status_changes.claim(make_training(photos).code)
    Job.objects.filter(pk=training.pk).update(gives_way_to=1)
    assert status_changes.finish_training(training, make_lora("12345678").file.read())
    assert queue.typical_seconds(Job.Kind.TRAINING) is None


# --- the estimate of a picture that a training gives way to -------------------------------------------------


@pytest.fixture
def seconds_of(monkeypatch):
    """A picture takes 10 seconds, a training 1000, with 30 checkpoints."""
    typical = {Job.Kind.GENERATION: 10.0, Job.Kind.TRAINING: 1000.0}
    monkeypatch.setattr(queue, "typical_seconds", typical.get)
    training = get_profile().training
    assert (training.steps, training.save_every) == (300, 10)


def under_way(photos, progress: float, worker: str = "", steps=ALL_STEPS) -> Job:
    """A training that a worker of this machine runs."""
    worker, training = worker or processes.name(), make_training(photos)
    workers.register(worker, steps)
    Job.objects.filter(pk=training.pk).update(status="running", worker=worker, progress=progress)
    return training


def estimates(*jobs: Job) -> list[int | None]:
    return [queue.eta_seconds(job) for job in jobs]


def test_the_estimate_of_a_picture_knows_that_a_training_gives_way(photos, seconds_of):
    under_way(photos, 0.51)
    picture = make_job()
    assert estimates(picture) == [100]  # the first checkpoint after 60 more seconds is in 90
    assert queue.position(picture) == 1
    make_older(picture, 61)
    assert estimates(picture) == [33]  # the next checkpoint is in 23
    second, training = make_job(), make_training(photos)
    assert estimates(picture, second, training) == [33, 43, 490 + 20 + 1000]


def test_pictures_that_wait_behind_a_queued_training_come_before_it_if_the_running_one_gives_way(
    photos, seconds_of
):
    under_way(photos, 0.51)
    training, picture = make_training(photos), make_older(make_job(), 61)
    assert turns() == [training.pk, picture.pk]
    assert estimates(training, picture) == [490 + 10 + 1000, 33]
    assert (queue.position(training), queue.position(picture)) == (1, 2)


def test_a_training_that_ends_before_its_next_checkpoint_is_waited_for(photos, seconds_of):
    under_way(photos, 0.995)
    assert estimates(make_job()) == [15]


def test_two_trainings_give_way_to_two_pictures(photos, seconds_of):
    under_way(photos, 0.51)
    under_way(photos, 0.51, f"{processes.machine()}-1-1")
    assert estimates(*(make_older(make_job(), 61) for _ in range(3))) == [33, 33, 43]


@pytest.mark.parametrize(
    ("why", "estimate"),
    [
        ("the worker only trains", None),
        ("another worker paints", 50),
        ("the setting is off", 500),
        ("a worker elsewhere would begin the training again", 500),
    ],
)
def test_the_estimate_knows_when_a_training_does_not_give_way(why, estimate, photos, seconds_of, settings):
    under_way(photos, 0.51, steps=("train",) if "only" in why else ALL_STEPS)
    if "another" in why:
        workers.register("painter", ORDER)
        for _ in range(4):
            make_job()
    if "elsewhere" in why:
        workers.register("elsewhere-1-1", ("train",))
    settings.TRAINING_YIELDS_AFTER = 0 if "off" in why else 60
    assert estimates(make_older(make_job(), 61)) == [estimate]


def test_checkpoints_are_expected_where_the_trainer_makes_them():
    said = f"SAVE_EVERY_N_STEPS:-{get_profile('sd15').training.save_every}}}"
    assert said in run_training.LAUNCH.read_text()

"""The table of a picture's stages: every second counts once, and no stage has lost its function."""

import pytest

from benchmarks import stages
from benchmarks.harness import stopwatch, timed_server
from benchmarks.harness.stopwatch import BEGIN, BETWEEN, CHILD, END, WAITING, Span, Stage, Stopwatch

WORKERS = [
    Span("picture", 0, 100),
    Span("step 1 pose", 10, 60),
    Span(WAITING, 12, 58),
    Span("progress into the database", 20, 40),  # while the step paints
    Span("sign", 70, 75),
]
STEPS = [Span(CHILD, 15, 50), Span("pipeline", 16, 46), Span("UNet", 20, 30), Span("UNet", 30, 44)]


def test_the_stages_own_seconds_add_up_to_the_picture():
    seconds = stopwatch.own_seconds(stopwatch.together(WORKERS, STEPS), stages.STEP)
    assert sum(seconds.values()) == 100
    assert {name: value for (part, name), value in seconds.items() if part == "step 1 pose"} == {
        BEGIN: 3,  # 12 to 15
        END: 8,  # 50 to 58
        "pipeline": 6,
        "UNet": 24,
        BETWEEN: 9,  # 10, 11; 15; 46 to 49; 58, 59
    }
    assert seconds["", "sign"] == 5


class Model:
    def run(self):
        return self.part()

    def part(self):
        return 1


def test_a_stage_inside_one_that_is_whole_is_not_told_apart_and_a_first_call_is(monkeypatch):
    monkeypatch.setattr(Model, "run", Model.run)  # put back at the end
    monkeypatch.setattr(Model, "part", Model.part)
    watch, name = Stopwatch(), f"{__name__}:Model"
    watch.watch([Stage(f"{name}.run", "run", whole=True, first_apart=True), Stage(f"{name}.part", "part")])
    assert [Model().run(), Model().run(), Model().part()] == [1, 1, 1]
    assert [span.name for span in watch.spans] == ["run, first call", "run", "part"]


@pytest.mark.models
def test_every_stage_that_is_watched_is_there():
    for stage in (*stages.STAGES, *timed_server.STAGES):
        owner, attribute = stage.owner_and_attribute()
        assert callable(getattr(owner, attribute)), stage


def test_a_stage_whose_function_has_another_name_now_is_an_error():
    with pytest.raises(AttributeError, match="no_such_function"):
        Stopwatch().watch([Stage("generation.repaint:no_such_function", "gone")])

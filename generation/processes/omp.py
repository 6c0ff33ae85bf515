"""How the threads of a computing process wait for each other, as libgomp reads it from the environment."""

import os

# Between two loops libgomp's threads spin, a third of a second if need be. On a core that has other work too,
# spinning made a step many times slower; but a thread that sleeps at once has to be woken for each of a small
# model's thousands of loops. So it spins a moment (some 20 microseconds) and then sleeps. On two cores of
# EPYC Zen 4, with the miniature, as a share of the time without any spinning: a picture 0.75 on idle cores,
# 1.26 beside a busy process; a training 0.5 and 1.2.
_A_MOMENT = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}


def waiting() -> dict[str, str]:
    """Variables for a process that computes; none if the environment has its own."""
    return {} if _A_MOMENT.keys() & os.environ.keys() else dict(_A_MOMENT)

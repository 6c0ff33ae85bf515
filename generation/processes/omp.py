"""OpenMP settings of a computing process: how its threads wait for each other."""

import os

# Between two parallel loops the threads of libgomp (GNU's OpenMP) spin, for up to a third of a second. On a
# core that has other work too, spinning made a step many times slower. But a thread that sleeps at once has
# to be woken for each of a small model's thousands of loops. So it spins for a moment, some 20 microseconds,
# and then sleeps. Measured on two cores of EPYC Zen 4 with the miniature, relative to no spinning: a picture
# takes 0.75 of the time on idle cores and 1.26 beside a busy process; a training 0.5 and 1.2.
_A_MOMENT = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}


def waiting() -> dict[str, str]:
    """Environment variables for a computing process; none if the environment sets them already."""
    return {} if _A_MOMENT.keys() & os.environ.keys() else dict(_A_MOMENT)

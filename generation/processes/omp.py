"""OpenMP settings for a process that computes: how its threads wait for each other."""

import os

# Between two parallel loops, the threads of libgomp (GNU's OpenMP) spin for up to a third of a second. On a
# core that has other work too, spinning made a step many times slower. But a thread that sleeps at once must
# be woken for each of the thousands of loops of a small model. So threads spin for about 20 microseconds and
# then sleep. Measured on two cores of EPYC Zen 4 with the miniature, relative to no spinning: a picture takes
# 0.75 of the time on idle cores and 1.26 beside a busy process; a training 0.5 and 1.2.
_A_MOMENT = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}


def waiting() -> dict[str, str]:
    """The environment variables for a process that computes; none if the environment sets one of them."""
    return {} if _A_MOMENT.keys() & os.environ.keys() else dict(_A_MOMENT)

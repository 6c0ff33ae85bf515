"""Celery's application: the messages that wake workers up. Import it only if CELERY_BROKER_URL is set.

A message names no job: the rows are the queue. So it is acknowledged before the work begins, and no broker's
time limit for unacknowledged messages matters. There is a queue for each step that a job can wait for.
"""

from __future__ import annotations

from celery import Celery, signals
from django.conf import settings
from kombu import Exchange, Queue

from diffuser_api.operations.workers import ALL_STEPS

WORK = "work"  # the task
EXCHANGE = Exchange("cartolina", type="topic")  # Celery warns of direct ones beside quorum queues
SECONDS_TO_CONNECT = 4
SECONDS_TO_ANSWER = 10  # for a broker that is cut off without a word

app = Celery("cartolina", broker=settings.CELERY_BROKER_URL)
app.conf.update(
    # Quorum: on a cluster of RabbitMQ, a queue outlives the loss of a machine. Redis ignores the argument.
    task_queues=[
        Queue(step, EXCHANGE, routing_key=step, queue_arguments={"x-queue-type": "quorum"})
        for step in ALL_STEPS
    ],
    task_create_missing_queues=False,  # a misspelt -Q stops the start
    task_ignore_result=True,
    worker_pool="prefork",
    worker_concurrency=1,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_connection_timeout=SECONDS_TO_CONNECT,
    broker_transport_options={
        "redis": {"socket_connect_timeout": SECONDS_TO_CONNECT, "socket_timeout": SECONDS_TO_ANSWER},
        "amqp": {"read_timeout": SECONDS_TO_ANSWER, "write_timeout": SECONDS_TO_ANSWER},
    }["redis" if settings.CELERY_BROKER_URL.startswith("redis") else "amqp"],
)


@signals.setup_logging.connect
def keep_logging(**_) -> None:
    """With this, Celery leaves the logging as Django has set it up."""


def send(step: str) -> None:
    """Wake up one worker that serves the step."""
    app.send_task(WORK, queue=step)

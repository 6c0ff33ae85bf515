"""What the queue calls. A message says "there is work"; which job's turn it is, the rows say."""

from django_tasks import task

from diffuser_api.jobs import life


@task()
def run_job(code: str) -> None:
    """``code``: the job that the message came with, not always the one whose turn it is."""
    job = life.claim_next()
    if job:
        life.run(job)

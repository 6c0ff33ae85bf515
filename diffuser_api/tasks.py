"""What the queue calls. A message says "there is work"; which job's turn it is, the rows say."""

from django_tasks import task

from diffuser_api import jobs


@task()
def run_job(code: str) -> None:
    """``code``: the job that the message came with, not always the one whose turn it is."""
    job = jobs.claim_next()
    if job:
        jobs.run(job)

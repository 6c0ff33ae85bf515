"""What the queue calls. A message says "look at job X"; the job's row says what is so."""

from django_tasks import task

from diffuser_api import jobs


@task()
def run_job(code: str) -> None:
    job = jobs.claim(code)
    if job:
        jobs.run(job)

"""Uses the generated Python client against a running server: starts a job, inserts results, pages them in both ways.

usage: page_results.py URL
"""

import sys
import uuid

from docket_client import Client
from docket_client.api.job_results import delete_job_results, insert_job_results, list_job_run_results, read_job_statistics
from docket_client.api.jobs import cancel_job, delete_job, list_jobs, read_job, read_job_log, start_job
from docket_client.models import (
    CancelJobRequest,
    Code,
    InsertJobResultsRequest,
    JobResultDataUpsert,
    ListJobsFeature,
    NameValue,
    Problem,
    ResultsFeature,
    ResultStatus,
    StartJobRequest,
    Status,
)
from docket_client.types import UNSET

RESULTS = 10_500
BATCH = 1000
STORAGE = "python/client & co"


def equal(found, expected):
    if found != expected:
        raise AssertionError(f"expected {expected!r}, found {found!r}")


def external_id(number):
    return f"Müller, {number}" if number % 100 == 0 else f"py-{number}"


def record(number):
    return JobResultDataUpsert(
        external_id=external_id(number),
        business_partner_id=f"bp-{number}",
        data_source_id="source",
        status=ResultStatus.FAILED if number % 10 == 0 else ResultStatus.OK,
        country_short_name="CH",
        result_data='{"dataDefects": [], "number": %d}' % number,
    )


def by_tokens(client, job):
    """Each page's nextStartAfter asks for the next one; the last page has none."""
    token = UNSET
    while True:
        page = list_job_run_results.sync(
            client=client, job_id=job, storage_id=STORAGE, limit=999,
            features_on=[ResultsFeature.USE_NEXT_START_AFTER], start_after=token,
        )
        equal((page.total, page.limit), (RESULTS, 999))
        yield from page.values
        token = page.next_start_after
        if not token:
            return


def by_ids(client, job):
    """The last id of a page asks for the next one; a page that is not full is the last."""
    after = UNSET
    while True:
        page = list_job_run_results.sync(client=client, job_id=job, storage_id=STORAGE, limit=5000, start_after=after)
        equal(page.next_start_after, UNSET)
        yield from page.values
        if len(page.values) < page.limit:
            return
        after = page.values[-1].id


def main():
    client = Client(base_url=sys.argv[1], raise_on_unexpected_status=True)
    job = start_job.sync(
        client=client,
        body=StartJobRequest(
            docker_image_url="registry.example/validation:7",
            commands=["/bin/sh", "-c", "exit 0"],
            result_storage_id=STORAGE,
            labels=[NameValue(name="client", value="python")],
            tags=["generated"],
        ),
    )
    equal((job.status, job.tags), (Status.PERSISTED, ["generated"]))

    for first in range(0, RESULTS, BATCH):
        body = InsertJobResultsRequest(results=[record(n) for n in range(first, min(first + BATCH, RESULTS))])
        summary = insert_job_results.sync(client=client, job_id=job.id, storage_id=STORAGE, body=body)
        equal((summary.created, summary.updated, summary.failed), (len(body.results), 0, 0))

    expected = [external_id(number) for number in range(RESULTS)]
    for way in (by_tokens, by_ids):
        equal([value.external_id for value in way(client, job.id)], expected)

    page = list_job_run_results.sync(
        client=client, job_id=job.id, storage_id=STORAGE, external_id=["Müller, 0", "Müller, 100"],
        job_result_status=ResultStatus.FAILED, include_result_data_fields=["number"],
    )
    equal([value.result_data for value in page.values], ['{"number":0}', '{"number":100}'])
    equal(page.total, 2)
    statistics = read_job_statistics.sync(client=client, job_id=job.id, storage_id=STORAGE)
    equal((statistics.total, statistics.failed), (RESULTS, RESULTS // 10))

    unknown = read_job.sync(client=client, job_id=uuid.uuid4())
    if not isinstance(unknown, Problem):
        raise AssertionError(f"no problem: {unknown}")
    equal((unknown.status, unknown.code), (404, Code.NOT_FOUND))
    refused = list_job_run_results.sync(client=client, job_id=job.id, storage_id=STORAGE, limit=0)
    equal((refused.code, [error.pointer for error in refused.errors]), (Code.INVALID_REQUEST, ["/limit"]))

    jobs = list_jobs.sync(client=client, tags=["generated"], sort="-createdAt", features_on=[ListJobsFeature.NUMBER_OF_TOTAL])
    equal((jobs.total, jobs.values[0].id), (1, job.id))
    canceled = cancel_job.sync(client=client, job_id=job.id, body=CancelJobRequest(reason="done"))
    equal(canceled.status, Status.CANCELED)
    equal(read_job_log.sync(client=client, job_id=job.id), "")
    equal(delete_job_results.sync(client=client, storage_id=STORAGE).deleted, RESULTS)
    equal(delete_job.sync(client=client, job_id=job.id).id, job.id)
    print(f"python: {RESULTS} results, paged by tokens and by ids")


main()

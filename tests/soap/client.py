"""zeep, strict: both versions of SOAP, the key in a WS-Security UsernameToken and in an HTTP header."""

import sys

import requests
import zeep
from zeep.wsse.username import UsernameToken

PAGE = 5000
DATA = '{"text":"<a href=\'x\'>&amp;</a> ]]> \u00fc \U0001d11e\n\ttwo lines"}'


def scenario(service, name):
    storage = f"zeep-{name}"
    job = service.startJob(
        dockerImageUrl="host",
        commands=["/bin/echo", "<&>"],
        resultStorageId=storage,
        tags=["soap", name],
        environmentVariables=[{"name": "LEVEL", "value": "info"}],
        priority=60,
    )
    assert job.status == "PERSISTED" and job.commands == ["/bin/echo", "<&>"], job
    assert job.environmentVariables[0].value == "info" and job.priority == 60
    for batch in range(12):
        records = [
            {
                "externalId": f"ERP-{batch}-{number}",
                "businessPartnerId": f"bp-{batch}-{number}",
                "resultData": DATA,
                "status": "FAILED" if number % 50 == 0 else "OK",
                "countryShortName": "CH",
            }
            for number in range(1000)
        ]
        done = service.insertJobResults(jobId=job.id, storageId=storage, results=records)
        assert (done.created, done.updated, done.failed) == (1000, 0, 0), done

    token, pages, seen = None, [], set()
    while True:
        page = service.listJobRunResults(
            jobId=job.id, storageId=storage, limit=PAGE, featuresOn=["USE_NEXT_START_AFTER"], startAfter=token
        )
        assert page.total == 12000 and page.limit == PAGE
        values = page["values"]
        pages.append(len(values))
        seen.update(value.externalId for value in values)
        assert all(value.resultData == DATA and value.jobId == job.id for value in values)
        token = page.nextStartAfter
        if token is None:
            break
    assert pages == [5000, 5000, 2000] and len(seen) == 12000, pages

    statistics = service.readJobStatistics(jobId=job.id)
    assert (statistics.total, statistics.failed) == (12000, 240), statistics
    bad = service.insertJobResults(jobId=job.id, storageId=storage, results=[{"resultData": "no identity"}])
    assert bad.failed == 1 and bad.failures[0].code == "required", bad

    try:
        service.readJob(jobId="35f23c03-1c22-45fe-9484-3ffe769325de")
        raise AssertionError("an unknown job was read")
    except zeep.exceptions.Fault as fault:
        problem = fault.detail.find("{urn:docket:jobs-management:v2}problem")
        text = lambda name: problem.findtext(f"{{urn:docket:jobs-management:v2}}{name}")
        assert text("code") == "not_found" and text("status") == "404" and text("detail"), text("detail")
        assert fault.code.endswith(("Client", "Sender")), fault.code

    canceled = service.cancelJob(jobId=job.id, reason="no longer needed")
    assert canceled.status == "CANCELED", canceled.status
    assert service.deleteJobResults(storageId=storage) == 12000
    assert service.deleteJob(jobId=job.id).id == job.id
    print(f"zeep {zeep.__version__}, {name}: 12000 inserted, pages of {pages}, fault not_found, canceled, deleted")


def main(endpoint, key):
    wsdl = f"{endpoint}?wsdl"
    settings = zeep.Settings(strict=True)
    by_token = zeep.Client(wsdl, settings=settings, wsse=UsernameToken("anybody", key))
    scenario(by_token.service, "soap11-usernametoken")
    session = requests.Session()
    session.headers["X-API-KEY"] = key
    by_header = zeep.Client(wsdl, settings=settings, transport=zeep.Transport(session=session))
    scenario(by_header.bind("JobsManagement", "JobsManagementSoap12"), "soap12-header")
    try:
        zeep.Client(wsdl, settings=settings, wsse=UsernameToken("anybody", "wrong")).service.listJobTypes()
        raise AssertionError("a wrong key was taken")
    except zeep.exceptions.Fault as fault:
        assert b"unauthenticated" in zeep.wsdl.utils.etree_to_string(fault.detail)


main(sys.argv[1], sys.argv[2])

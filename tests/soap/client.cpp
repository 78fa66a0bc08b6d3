// gSOAP: a client from wsdl2h and soapcpp2, SOAP 1.1, the key in an HTTP header.
#include "JobsManagementSoap11.nsmap"
#include "soapJobsManagementSoap11Proxy.h"
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>

static const char DATA[] = "{\"text\":\"<a href='x'>&amp;</a> \xc3\xbc \xf0\x9d\x84\x9e\n\"}";

static JobsManagementSoap11Proxy *proxy;
static std::string header;

static void check(bool good, const char *what) {
    if (!good) {
        std::fprintf(stderr, "gSOAP: %s is wrong\n", what);
        std::exit(1);
    }
}

// gSOAP forgets extra headers after each call.
static void call(int (*work)(void *), void *argument, const char *what) {
    proxy->soap->http_extra_header = header.c_str();
    if (work(argument) != SOAP_OK) {
        soap_print_fault(proxy->soap, stderr);
        check(false, what);
    }
}

template <class Input, class Output>
static void run(int (JobsManagementSoap11Proxy::*operation)(Input *, Output &), Input &input, Output &output,
                const char *what) {
    struct Work {
        int (JobsManagementSoap11Proxy::*operation)(Input *, Output &);
        Input *input;
        Output *output;
    } work = {operation, &input, &output};
    call([](void *argument) {
        Work *work = static_cast<Work *>(argument);
        return (proxy->*(work->operation))(work->input, *work->output);
    }, &work, what);
}

int main(int, char **arguments) {
    JobsManagementSoap11Proxy service(arguments[1], SOAP_C_UTFSTRING | SOAP_IO_KEEPALIVE);
    proxy = &service;
    header = std::string("X-API-KEY: ") + arguments[2];
    struct soap *soap = service.soap;
    std::string storage = "gsoap";

    _ns1__startJob start;
    start.dockerImageUrl = "host";
    start.commands = {"/bin/echo", "<&>"};
    start.resultStorageId = &storage;
    _ns1__startJobResponse started;
    run(&JobsManagementSoap11Proxy::startJob, start, started, "startJob");
    check(started.result->status == ns1__Status__PERSISTED && started.result->commands == start.commands, "the job");
    const std::string job = started.result->id;

    std::string data = DATA;
    ns1__ResultStatus ok = ns1__ResultStatus__OK;
    for (int batch = 0; batch < 6; batch++) {
        _ns1__insertJobResults insert;
        insert.jobId = job;
        insert.storageId = storage;
        for (int number = 0; number < 1000; number++) {
            ns1__JobResultDataUpsert *record = soap_new_ns1__JobResultDataUpsert(soap);
            record->externalId = soap_new_std__string(soap);
            *record->externalId = "ERP-" + std::to_string(batch) + "-" + std::to_string(number);
            record->resultData = &data;
            record->status = &ok;
            insert.results.push_back(record);
        }
        _ns1__insertJobResultsResponse inserted;
        run(&JobsManagementSoap11Proxy::insertJobResults, insert, inserted, "insertJobResults");
        check(inserted.result->created == 1000 && inserted.result->failed == 0, "the count of an insert");
    }

    _ns1__listJobRunResults list;
    int limit = 5000;
    std::string token;
    list.jobId = job;
    list.storageId = storage;
    list.limit = &limit;
    list.featuresOn = {ns1__ResultsFeature__USE_USCORENEXT_USCORESTART_USCOREAFTER};
    std::string pages;
    std::set<std::string> seen;
    for (;;) {
        _ns1__listJobRunResultsResponse page;
        run(&JobsManagementSoap11Proxy::listJobRunResults, list, page, "listJobRunResults");
        check(page.result->total == 6000, "the total");
        for (ns1__JobResultData *value : page.result->values) {
            check(value->resultData && *value->resultData == data, "resultData");
            seen.insert(*value->externalId);
        }
        pages += (pages.empty() ? "" : ",") + std::to_string(page.result->values.size());
        if (!page.result->nextStartAfter)
            break;
        token = *page.result->nextStartAfter;
        list.startAfter = &token;
    }
    check(pages == "5000,1000" && seen.size() == 6000, "the pages");

    _ns1__readJob read;
    read.jobId = "35f23c03-1c22-45fe-9484-3ffe769325de";
    _ns1__readJobResponse nothing;
    soap->http_extra_header = header.c_str();
    check(service.readJob(&read, nothing) == SOAP_FAULT, "the answer for an unknown job");
    const ns1__Problem *problem = soap->fault && soap->fault->detail ? soap->fault->detail->ns1__problem : nullptr;
    check(problem && problem->code == ns1__Code__not_USCOREfound && problem->status == 404, "the fault's detail");

    _ns1__cancelJob cancel;
    cancel.jobId = job;
    _ns1__cancelJobResponse canceled;
    run(&JobsManagementSoap11Proxy::cancelJob, cancel, canceled, "cancelJob");
    check(canceled.result->status == ns1__Status__CANCELED, "the canceled job");
    _ns1__deleteJobResults drop;
    drop.storageId = storage;
    _ns1__deleteJobResultsResponse dropped;
    run(&JobsManagementSoap11Proxy::deleteJobResults, drop, dropped, "deleteJobResults");
    check(dropped.result->deleted == 6000, "the count of deleted results");
    _ns1__deleteJob remove;
    remove.jobId = job;
    _ns1__deleteJobResponse removed;
    run(&JobsManagementSoap11Proxy::deleteJob, remove, removed, "deleteJob");
    check(removed.result->id == job, "the deleted job");
    std::printf("gSOAP %s, soap11: 6000 inserted, pages of %s, fault not_found, canceled, deleted\n", std::to_string(GSOAP_VERSION).c_str(),
                pages.c_str());
    service.destroy();
    return 0;
}

<?php
// PHP's SoapClient: both versions of SOAP, the key in an HTTP header.
declare(strict_types=1);

[, $endpoint, $key] = $argv;
const DATA = "{\"text\":\"<a href='x'>&amp;</a> ü 𝄞\n\"}";

function scenario(SoapClient $client, string $name): void
{
    $storage = "php-$name";
    $job = $client->startJob([
        'dockerImageUrl' => 'host',
        'commands' => ['/bin/echo', '<&>'],
        'resultStorageId' => $storage,
        'tags' => ['soap', $name],
    ])->result;
    assert($job->status === 'PERSISTED' && $job->commands === ['/bin/echo', '<&>']);
    for ($batch = 0; $batch < 6; $batch++) {
        $results = [];
        for ($number = 0; $number < 1000; $number++) {
            $results[] = ['externalId' => "ERP-$batch-$number", 'resultData' => DATA, 'status' => 'OK'];
        }
        $done = $client->insertJobResults(['jobId' => $job->id, 'storageId' => $storage, 'results' => $results])->result;
        assert([$done->created, $done->updated, $done->failed] === [1000, 0, 0]);
    }
    $pages = [];
    $seen = [];
    $input = ['jobId' => $job->id, 'storageId' => $storage, 'limit' => 5000, 'featuresOn' => ['USE_NEXT_START_AFTER']];
    do {
        $page = $client->listJobRunResults($input)->result;
        assert($page->total === 6000);
        foreach ($page->values as $value) {
            assert($value->resultData === DATA);
            $seen[$value->externalId] = true;
        }
        $pages[] = count($page->values);
        $input['startAfter'] = $page->nextStartAfter ?? null;
    } while (isset($input['startAfter']));
    assert($pages === [5000, 1000] && count($seen) === 6000);

    try {
        $client->readJob(['jobId' => '35f23c03-1c22-45fe-9484-3ffe769325de']);
        throw new Exception('an unknown job was read');
    } catch (SoapFault $fault) {
        $problem = $fault->detail->problem;
        assert($problem->code === 'not_found' && (int) $problem->status === 404 && $problem->detail !== '');
    }
    assert($client->cancelJob(['jobId' => $job->id, 'reason' => 'enough'])->result->status === 'CANCELED');
    assert((int) $client->deleteJobResults(['storageId' => $storage])->result->deleted === 6000);
    assert($client->deleteJob(['jobId' => $job->id])->result->id === $job->id);
    $pages = implode(',', $pages);
    echo 'PHP ', PHP_VERSION, " SoapClient, $name: 6000 inserted, pages of $pages, fault not_found, canceled, deleted\n";
}

foreach ([SOAP_1_1 => 'soap11', SOAP_1_2 => 'soap12'] as $version => $name) {
    $client = new SoapClient("$endpoint?wsdl", [
        'soap_version' => $version,
        'cache_wsdl' => WSDL_CACHE_NONE,
        'features' => SOAP_SINGLE_ELEMENT_ARRAYS,
        'stream_context' => stream_context_create(['http' => ['header' => "X-API-KEY: $key"]]),
    ]);
    scenario($client, $name);
}

// node soap: the key in a WS-Security UsernameToken, then SOAP 1.2 with the key in an HTTP header.
'use strict';
const assert = require('node:assert');
const soap = require('soap');

const [endpoint, key] = process.argv.slice(2);
const DATA = '{"text":"<a href=\'x\'>&amp;</a> ü 𝄞 "}';
const list = (value) => (value === undefined || value === null ? [] : [].concat(value));

async function scenario(client, name) {
    const call = async (operation, input) => (await client[`${operation}Async`](input))[0].result;
    const storageId = `node-${name}`;
    const job = await call('startJob', {
        commands: ['/bin/echo', '<&>'],
        dockerImageUrl: 'host',
        resultStorageId: storageId,
        tags: ['soap', name],
    });
    assert.equal(job.status, 'PERSISTED');
    assert.deepEqual(list(job.commands), ['/bin/echo', '<&>']);
    for (let batch = 0; batch < 6; batch++) {
        const results = Array.from({ length: 1000 }, (_, number) => ({
            externalId: `ERP-${batch}-${number}`,
            resultData: DATA,
            status: 'OK',
        }));
        const done = await call('insertJobResults', { jobId: job.id, storageId, results });
        assert.deepEqual([done.created, done.updated, done.failed], [1000, 0, 0]);
    }
    const pages = [];
    const seen = new Set();
    let startAfter;
    do {
        const input = { jobId: job.id, storageId, limit: 5000, featuresOn: ['USE_NEXT_START_AFTER'] };
        if (startAfter) input.startAfter = startAfter;
        const page = await call('listJobRunResults', input);
        assert.equal(page.total, 6000);
        const values = list(page.values);
        values.forEach((value) => seen.add(value.externalId));
        assert.ok(values.every((value) => value.resultData === DATA));
        pages.push(values.length);
        startAfter = page.nextStartAfter;
    } while (startAfter);
    assert.deepEqual(pages, [5000, 1000]);
    assert.equal(seen.size, 6000);

    await assert.rejects(call('readJob', { jobId: '35f23c03-1c22-45fe-9484-3ffe769325de' }), (error) => {
        const fault = error.root.Envelope.Body.Fault;
        const problem = (fault.detail || fault.Detail).problem;
        assert.equal(problem.code, 'not_found');
        assert.equal(String(problem.status), '404');
        return true;
    });
    assert.equal((await call('cancelJob', { jobId: job.id, reason: 'enough' })).status, 'CANCELED');
    assert.equal(String((await call('deleteJobResults', { storageId })).deleted), '6000');
    assert.equal((await call('deleteJob', { jobId: job.id })).id, job.id);
    console.log(`node soap, ${name}: 6000 inserted, pages of ${pages}, fault not_found, canceled, deleted`);
}

async function main() {
    const byToken = await soap.createClientAsync(`${endpoint}?wsdl`);
    byToken.setSecurity(new soap.WSSecurity('anybody', key, { passwordType: 'PasswordText', mustUnderstand: 1 }));
    await scenario(byToken, 'soap11-usernametoken');
    const byHeader = await soap.createClientAsync(`${endpoint}?wsdl`, { forceSoap12Headers: true });
    byHeader.addHttpHeader('X-API-KEY', key);
    await scenario(byHeader, 'soap12-header');
}

main().catch((error) => {
    console.error(error.message.slice(0, 2000));
    process.exit(1);
});

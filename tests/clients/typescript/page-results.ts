// Uses the generated TypeScript types against a running server: starts a job, inserts results, pages them in both ways.
//
// usage: node page-results.js URL

import { deepStrictEqual as equal } from "node:assert";
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Result = components["schemas"]["JobResultData"];
type Upsert = components["schemas"]["JobResultDataUpsert"];

const RESULTS = 10_500;
const BATCH = 1000;
const storageId = "typescript/client & co";
const client = createClient<paths>({ baseUrl: process.argv[2] ?? "" });

const externalId = (number: number) => (number % 100 === 0 ? `Müller, ${number}` : `ts-${number}`);

function record(number: number): Upsert {
  return {
    externalId: externalId(number),
    businessPartnerId: `bp-${number}`,
    dataSourceId: "source",
    status: number % 10 === 0 ? "FAILED" : "OK",
    countryShortName: "CH",
    resultData: JSON.stringify({ dataDefects: [], number }),
  };
}

/** The data of a success; a problem ends the test. */
function ok<T>(answer: { data?: T | undefined; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

/** Each page's nextStartAfter asks for the next one; the last page has none. */
async function* byTokens(jobId: string): AsyncGenerator<Result> {
  let startAfter: string | null | undefined;
  do {
    const page = ok(
      await client.GET("/jobs/{jobId}/results", {
        params: {
          path: { jobId },
          query: { storageId, limit: 999, featuresOn: ["USE_NEXT_START_AFTER"], ...(startAfter && { startAfter }) },
        },
      }),
    );
    equal([page.total, page.limit], [RESULTS, 999]);
    yield* page.values;
    startAfter = page.nextStartAfter;
  } while (startAfter);
}

/** The last id of a page asks for the next one; a page that is not full is the last. */
async function* byIds(jobId: string): AsyncGenerator<Result> {
  let startAfter: string | undefined;
  for (;;) {
    const page = ok(
      await client.GET("/jobs/{jobId}/results", {
        params: { path: { jobId }, query: { storageId, limit: 5000, ...(startAfter && { startAfter }) } },
      }),
    );
    equal(page.nextStartAfter, undefined);
    yield* page.values;
    startAfter = page.values.at(-1)?.id;
    if (page.values.length < page.limit || startAfter === undefined) return;
  }
}

const job = ok(
  await client.POST("/jobs", {
    body: {
      dockerImageUrl: "registry.example/validation:7",
      commands: ["/bin/sh", "-c", "exit 0"],
      resultStorageId: storageId,
      labels: [{ name: "client", value: "typescript" }],
      tags: ["generated-ts"],
    },
  }),
);
const jobId = job.id;
equal([job.status, job.tags], ["PERSISTED", ["generated-ts"]]);

for (let first = 0; first < RESULTS; first += BATCH) {
  const results = Array.from({ length: Math.min(BATCH, RESULTS - first) }, (_, index) => record(first + index));
  const summary = ok(
    await client.POST("/jobs/{jobId}/results", { params: { path: { jobId }, query: { storageId } }, body: { results } }),
  );
  equal([summary.created, summary.updated, summary.failed], [results.length, 0, 0]);
}

const expected = Array.from({ length: RESULTS }, (_, number) => externalId(number));
for (const way of [byTokens, byIds]) {
  const found: (string | null | undefined)[] = [];
  for await (const value of way(jobId)) found.push(value.externalId);
  equal(found, expected);
}

const filtered = ok(
  await client.GET("/jobs/{jobId}/results", {
    params: {
      path: { jobId },
      query: {
        storageId,
        externalId: ["Müller, 0", "Müller, 100"],
        jobResultStatus: "FAILED",
        includeResultDataFields: ["number"],
      },
    },
  }),
);
equal([filtered.total, ...filtered.values.map((value) => value.resultData)], [2, '{"number":0}', '{"number":100}']);

const unknown = await client.GET("/jobs/{jobId}", { params: { path: { jobId: "35f23c03-1c22-45fe-9484-3ffe769325de" } } });
equal([unknown.response.status, unknown.error?.code], [404, "not_found"]);
const refused = await client.GET("/jobs/{jobId}/results", { params: { path: { jobId }, query: { storageId, limit: 0 } } });
equal([refused.error?.code, refused.error?.errors?.map((error) => error.pointer)], ["invalid_request", ["/limit"]]);

const jobs = ok(await client.GET("/jobs", { params: { query: { tags: ["generated-ts"], featuresOn: ["NUMBER_OF_TOTAL"] } } }));
equal([jobs.total, jobs.values[0]?.id], [1, jobId]);
const canceled = ok(await client.POST("/jobs/{jobId}/cancel", { params: { path: { jobId } }, body: { reason: "done" } }));
equal(canceled.status, "CANCELED");
const log = await client.GET("/jobs/{jobId}/log", { params: { path: { jobId } }, parseAs: "text" });
// openapi-fetch has no data for a body without bytes.
equal([log.response.status, log.data ?? ""], [200, ""]);
const deleted = ok(await client.DELETE("/jobs/results/{storageId}", { params: { path: { storageId } } }));
equal(deleted.deleted, RESULTS);
equal(ok(await client.DELETE("/jobs/{jobId}", { params: { path: { jobId } } })).id, jobId);
console.log(`typescript: ${RESULTS} results, paged by tokens and by ids`);

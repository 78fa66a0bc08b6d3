"""Writes records with hostile texts, and compares what the three formats say of them when pandas reads them.

usage: compare.py URL DOCKET-BINARY DIRECTORY
"""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pandas
import pyarrow
import pyarrow.parquet

url, docket, directory = sys.argv[1], sys.argv[2], Path(sys.argv[3])
COUNT = 2500
TEXTS = [
    "plain", "", " ", "a,b;c\td", 'say "no"', '"', '""', "two\nlines", "two\r\nlines", "\r", "=1+1", "-1", "@x", "'",
    "😀 ü é 漢字 \u202e", "\\", "NULL", "nan", "#N/A", "1e5", "001", "x" * 60000, '{"a":"b,\\"c\\""}',
]


def post(path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def record(number):
    text = TEXTS[number % len(TEXTS)]
    written = {
        "externalId": f"ERP {number}, \"{number}\"",
        "businessPartnerId": f"bp-{number}",
        "dataSourceId": ["one", "two, \"2\""][number % 2],
        "status": ["OK", "FAILED"][number % 3 == 0],
        "countryShortName": ["CH", "DE"][number % 2],
    }
    if number % 5:
        written["resultData"] = text
    if number % 7:
        written["message"] = text[:1000]
    if number % 11 == 0:
        written["addressVersion"] = {"characterSet": {"technicalKey": "INTERNATIONAL"}}
        written["processingStatus"] = {"technicalKey": "DONE", "modifiedAt": "2026-11-23T16:21:00.123Z"}
        written["configuration"] = {"id": "c,1", "version": number}
    return written


job = post("/jobs", {"dockerImageUrl": "host", "resultStorageId": "s"})["id"]
records = [record(number) for number in range(COUNT)]
for start in range(0, COUNT, 500):
    answer = post(f"/jobs/{job}/results?storageId=s", {"results": records[start:start + 500]})
    assert (answer["created"], answer["failed"]) == (len(records[start:start + 500]), 0), answer


def pull(name):
    file = directory / name
    arguments = ["results", "pull", "--url", url, "--job", job, "--storage", "s", "--output", str(file)]
    subprocess.run([docket, *arguments], check=True)
    return file


# What a listing shows, in columns: the measure for all three.
def flat(value):
    version, processing = value.get("addressVersion", {}), value.get("processingStatus", {})
    configuration = value.get("configuration", {})
    names = ["id", "storageId", "jobId", "createdAt", "modifiedAt", "dataSourceId", "businessPartnerId", "addressId",
             "externalId", "addressExternalId", "jobType", "resultData", "status", "message", "countryShortName"]
    row = {name: value.get(name) for name in names}
    row["addressVersionCharacterSet"] = version.get("characterSet", {}).get("technicalKey")
    row["addressVersionLanguage"] = version.get("language", {}).get("technicalKey")
    row["processingStatus"] = processing.get("technicalKey")
    row["processingStatusModifiedAt"] = processing.get("modifiedAt")
    row["configurationId"] = configuration.get("id")
    row["configurationVersion"] = configuration.get("version")
    return row


lines = pull("results.ndjson")
values = [json.loads(line) for line in lines.read_text("utf-8").split("\n")[:-1]]
assert len(values) == COUNT
for written, value in zip(records, values):
    assert all(value[name] == text for name, text in written.items()), value["id"]
expected = [flat(value) for value in values]
frame = pandas.read_json(lines, lines=True, dtype=False)
assert len(frame) == COUNT and frame["externalId"].tolist() == [row["externalId"] for row in expected]

table = pull("results.csv")
frame = pandas.read_csv(table, dtype=str, keep_default_na=False, na_filter=False)
columns = list(frame.columns)
assert sorted(columns) == sorted(expected[0]), columns
for row, wanted in zip(frame.to_dict("records"), expected, strict=True):
    for name in columns:
        text = "" if wanted[name] is None else str(wanted[name])
        assert row[name] == text, (wanted["id"], name, row[name], text)

file = pull("results.parquet")
read = pyarrow.parquet.read_table(file)
assert read.schema.field("id").type == pyarrow.int64()
assert read.schema.field("createdAt").type == pyarrow.timestamp("ms", tz="UTC")
assert read.schema.field("configurationVersion").type == pyarrow.int32()
assert read.column_names == columns
frame = pandas.read_parquet(file)
assert len(frame) == COUNT and str(frame["createdAt"].dtype) == "datetime64[ms, UTC]", frame.dtypes
for row, wanted in zip(read.to_pylist(), expected, strict=True):
    for name in columns:
        value = row[name]
        if name == "id":
            value = str(value)
        elif value is not None and name in ("createdAt", "modifiedAt", "processingStatusModifiedAt"):
            value = value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03}Z"
        assert value == wanted[name], (wanted["id"], name, value, wanted[name])

sizes = ", ".join(f"{path.suffix[1:]} {path.stat().st_size:,} bytes" for path in (lines, table, file))
print(f"exports: {COUNT:,} results read back by pandas {pandas.__version__} and pyarrow {pyarrow.__version__}: {sizes}")

"""What schemathesis does with each request before it sends it, and how it judges what a schema can't say."""

from urllib.parse import parse_qsl, urlsplit

import schemathesis
from schemathesis.checks import CHECKS
from schemathesis.specs.openapi import checks


@schemathesis.hook
def before_call(context, case, kwargs):
    # Nobody waits a minute for jobs to claim; what is not valid stays so.
    seconds = case.body.get("waitSeconds") if isinstance(case.body, dict) else None
    if type(seconds) in (int, float) and 0 < seconds <= 60 and seconds == int(seconds):
        case.body["waitSeconds"] = 0
    elif isinstance(seconds, str) and seconds.isdecimal():
        case.body["waitSeconds"] = "0"


def is_empty(value):
    if isinstance(value, (dict, list)):
        return not value or any(map(is_empty, value.values() if isinstance(value, dict) else value))
    return value in ("", None)


def tells_failures(response):
    # Records that are wrong are told one by one in an answer to those that were saved.
    return response.headers.get("content-type") == ["application/json"] and bool(response.json().get("failures"))


@CHECKS.register
def negative_data_rejection(ctx, response, case):
    # What is empty or null counts as absent, in the query and in a body: old clients send some. So an empty number or
    # time is no wrong one. What counts is what was sent: an object without members is an empty parameter.
    sent = [value for _, value in parse_qsl(urlsplit(response.request.url).query, keep_blank_values=True)]
    members = case.body.values() if isinstance(case.body, dict) else []
    absent = any(value in ("", "null") for value in sent) or any(map(is_empty, members))
    if absent or (response.status_code == 200 and tells_failures(response)):
        return None
    return checks.negative_data_rejection(ctx, response, case)

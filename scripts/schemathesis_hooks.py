"""What schemathesis does with each request before it sends it."""

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    # Nobody waits a minute for jobs to claim.
    if isinstance(case.body, dict) and isinstance(case.body.get("waitSeconds"), int):
        case.body["waitSeconds"] = min(case.body["waitSeconds"], 0)

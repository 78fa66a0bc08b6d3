"""What schemathesis does with each request before it sends it."""

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    # Nobody waits a minute for jobs to claim; what is not valid stays so.
    seconds = case.body.get("waitSeconds") if isinstance(case.body, dict) else None
    if type(seconds) in (int, float) and 0 < seconds <= 60 and seconds == int(seconds):
        case.body["waitSeconds"] = 0
    elif isinstance(seconds, str) and seconds.isdecimal():
        case.body["waitSeconds"] = "0"

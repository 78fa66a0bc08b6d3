"""What schemathesis does with each request before it sends it."""

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    # Nobody waits a minute for jobs to claim; what is not valid stays so.
    if isinstance(case.body, dict):
        try:
            seconds = float(case.body.get("waitSeconds"))
        except (TypeError, ValueError):
            return
        if 0 < seconds <= 60:
            case.body["waitSeconds"] = 0

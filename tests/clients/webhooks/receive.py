"""A receiver that verifies what it is told with the library of Standard Webhooks, as docs/WEBHOOKS.md shows it.

usage: receive.py URL SECRET
"""

import http.server
import json
import queue
import sys
import threading
import urllib.request

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

url, secret = sys.argv[1:]
told = queue.Queue()


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        told.put((dict(self.headers), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def refused(webhook, headers, body):
    try:
        webhook.verify(body, headers)
    except WebhookVerificationError:
        return True
    return False


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
hook = {"url": f"http://127.0.0.1:{server.server_port}/docket", "events": ["SCHEDULED", "CANCELED"]}
spec = json.dumps({"dockerImageUrl": "host", "name": "übermäßig", "webhooks": [hook]}).encode()
request = urllib.request.Request(f"{url}/jobs", spec, {"content-type": "application/json"})
job = json.load(urllib.request.urlopen(request))["id"]
request = urllib.request.Request(f"{url}/jobs/{job}/cancel", b"{}", {"content-type": "application/json"})
urllib.request.urlopen(request).read()

webhook = Webhook(secret)
kinds = []
for _ in range(2):
    headers, body = told.get(timeout=30)
    notice = webhook.verify(body, headers)
    assert notice["data"]["job"]["id"] == job and notice["data"]["job"]["name"] == "übermäßig", notice
    kinds.append(notice["type"])
    assert refused(webhook, headers, body + b" "), "another body"
    assert refused(webhook, {**headers, "webhook-id": "evt_0_0_0"}, body), "another id"
    assert refused(Webhook("whsec_" + "A" * 43 + "="), headers, body), "another secret"
assert kinds == ["job.scheduled", "job.canceled"], kinds
print("webhooks: verified by standardwebhooks")

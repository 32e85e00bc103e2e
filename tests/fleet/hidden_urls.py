"""Stands before an Alertmanager and hides the addresses of its webhooks, as later ones do; everything else is
its own.

Usage: hidden_urls.py PORT ALERTMANAGER-PORT
"""

import http.server
import json
import re
import sys
import urllib.request


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.pass_on(None)

    def do_POST(self):
        self.pass_on(self.rfile.read(int(self.headers["content-length"])))

    def pass_on(self, sent):
        kind = self.headers.get("content-type", "application/json")
        asked = urllib.request.Request(
            f"http://127.0.0.1:{sys.argv[2]}{self.path}", data=sent, headers={"content-type": kind}
        )
        with urllib.request.urlopen(asked) as answer:
            body = answer.read()
        if self.path == "/api/v2/status":
            told = json.loads(body)
            original = told["config"]["original"]
            told["config"]["original"] = re.sub(r"\burl: http\S+", "url: <secret>", original)
            body = json.dumps(told).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()

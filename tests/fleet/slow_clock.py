"""Stands before a Prometheus and says another time than it does; everything else is its own.

Usage: slow_clock.py PORT PROMETHEUS-PORT
"""

import http.server
import json
import sys
import urllib.parse
import urllib.request

SLOW_SECS = 100


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[2]}{self.path}") as answer:
            body = answer.read()
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query).get("query")
        if query == ["time()"]:
            told = json.loads(body)
            told["data"]["result"][1] = str(float(told["data"]["result"][1]) - SLOW_SECS)
            body = json.dumps(told).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()

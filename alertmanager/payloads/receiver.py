"""Stores each webhook body in a file of its own, byte for byte.

Usage: receiver.py FOLDER TOKEN

Listens on a free loopback port and writes it to FOLDER/port. A request without
the bearer token is refused, so a recording also shows that Alertmanager sent
the credentials of its file.
"""

import http.server
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])
token = sys.argv[2]
received = 0


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        global received
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {token}":
            self.send_response(401)
            self.end_headers()
            return
        received += 1
        # Written under another name first: whoever polls sees whole files only.
        part = folder / f"{received}.part"
        part.write_bytes(body)
        part.rename(folder / f"{received}.json")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
(folder / "port.part").write_text(str(server.server_port))
(folder / "port.part").rename(folder / "port")
server.serve_forever()

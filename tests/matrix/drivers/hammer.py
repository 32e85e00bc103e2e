"""Keeps the raylet of a node busy from outside, with connections. Usage: NODE ID

Ends when /root/release-ID is there.
"""

import os
import socket
import sys
import time

from ray._raylet import GcsClient

ALIVE = 0
NODE, ID = sys.argv[1:]
nodes = GcsClient(address="127.0.0.1:6379").get_all_node_info(timeout=10).values()
node = next(n for n in nodes if n.node_name == NODE and n.state == ALIVE)
address = (node.node_manager_address, node.node_manager_port)
deadline = time.monotonic() + 600
while not os.path.exists(f"/root/release-{ID}") and time.monotonic() < deadline:
    for _ in range(20):
        with socket.create_connection(address, timeout=5) as connection:
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
    time.sleep(0.02)

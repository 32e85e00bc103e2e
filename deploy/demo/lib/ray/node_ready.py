"""Waits until the node NAME is alive in the GCS. Usage: GCS NAME SECONDS"""

import sys
import time

from ray._raylet import GcsClient

ALIVE = 0


def alive(address: str, name: str) -> bool:
    nodes = GcsClient(address=address).get_all_node_info(timeout=5).values()
    return any(node.node_name == name and node.state == ALIVE for node in nodes)


def main() -> None:
    address, name, seconds = sys.argv[1:]
    deadline = time.monotonic() + float(seconds)
    while True:
        try:
            if alive(address, name):
                return
            why = "not registered"
        except Exception as error:  # The GCS itself may still be starting.
            why = error
        if time.monotonic() > deadline:
            sys.exit(f"node {name} is not alive after {seconds} s: {why}")
        time.sleep(0.2)


main()

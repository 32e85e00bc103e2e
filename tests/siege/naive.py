"""Deletes a tree by whole paths, as programs do that first collect and then delete.

Waits for a tree that a sweep would have begun to delete, so that the same player plays against it. Shows
what harm there is in a path, and that the player does what it says.
"""

import os
import sys


def main():
    top = sys.stdin.read().strip()
    paths = [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names]
    for path in paths:
        try:
            os.unlink(path)
        except OSError:
            pass


main()

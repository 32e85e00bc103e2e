#!/bin/sh
# Installs a local source distribution whose setup waits for /root/release-ID. Usage: ID
set -eu
id=$1
mkdir -p "/root/src-$id"
cat >"/root/src-$id/setup.py" <<SETUP
import os, time
from setuptools import setup
note = "/root/standing-$id"
if not os.path.exists(note):
    with open(note + ".new", "w") as file:
        file.write(os.getcwd())
    os.rename(note + ".new", note)
deadline = time.monotonic() + 600
while not os.path.exists("/root/release-$id") and time.monotonic() < deadline:
    time.sleep(0.2)
setup(name="slow", version="1.0", py_modules=["slow"])
SETUP
echo "STATE = 'state of $id'" >"/root/src-$id/slow.py"
mkdir "/root/dist-$id"
# With a folder inside, as every source distribution has.
mv "/root/src-$id" "/root/dist-$id/slow-1.0"
tar -C "/root/dist-$id" -czf "/root/dist-$id/slow-1.0.tar.gz" slow-1.0
if pip3 install --no-index --no-build-isolation --break-system-packages --no-cache-dir \
    "/root/dist-$id/slow-1.0.tar.gz" >"/root/pip-$id.log" 2>&1; then
    python3 -c 'import slow; print(slow.STATE, end="")' >"/root/result-$id.new"
else
    tail -n 20 "/root/pip-$id.log" >"/root/result-$id.new"
fi
mv "/root/result-$id.new" "/root/result-$id"

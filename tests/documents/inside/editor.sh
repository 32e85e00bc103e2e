#!/bin/bash
# The reader's editor: does to the file what table.sh says that he does, which has to change it.
before=$(cat "$1" 2>/dev/null)
[[ -e /run/documents-edit ]] || {
    echo "editor: nobody has said what becomes of $1" >&2
    exit 1
}
bash /run/documents-edit "$1" || exit
[[ $(cat "$1") != "$before" ]] || {
    echo "editor: $1 is as it was" >&2
    exit 1
}

# Looks at the table whose header begins so, in what a benchmark printed, and says what is wrong with it: that
# it is not there, another number of rows, a row that ends early, a cell with nothing in it, a figure that is none.
# Usage: awk -v header='| who |' -v rows=2 -f table.awk FILE

function wrong(what) { print what; bad = 1 }

seen == 0 && index($0, header) == 1 { seen = 1; cells = gsub(/\|/, "&"); next }
seen == 1 && /^\|(---\|)+$/ { next }
seen == 1 && /^\|/ { row(); next }
seen == 1 { seen = 2 }

function row(    cell, count, i) {
    found++
    if (gsub(/\|/, "&") != cells) wrong("not as many cells as the header: " $0)
    count = split($0, cell, / *\| */)
    # Nothing stands before the first and after the last.
    for (i = 2; i < count; i++) {
        if (cell[i] == "") wrong("a cell with nothing in it: " $0)
        if (cell[i] ~ /(^|[^a-z])(nan|inf)([^a-z]|$)/ || cell[i] ~ /NaN/) wrong("no figure: " $0)
        # Not so a ratio: what is not optimised may be a thousand times as slow as another.
        if (cell[i] ~ /^0(\.0+)?( s| MiB)?$/) wrong("a figure that nothing was measured for: " $0)
    }
    if (count < 4 || !match($0, /[1-9]/)) wrong("no figures: " $0)
}

END {
    if (!seen) wrong("there is no table that begins with: " header)
    else if (found != rows) wrong(rows " rows wanted, " found + 0 " found below: " header)
    exit bad
}

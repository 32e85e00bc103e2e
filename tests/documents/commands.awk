# What a document has its reader type, a line each, with tabs between:
#   DOCUMENT  LINE  HEADING  COMMAND  COMMENT
# Every line of a block of sh or console is one. In prose and in tables words between backticks are one that
# begin with a program and go on as a command line does; a program or subcommand alone is only its name.
# Usage: awk -f commands.awk DOCUMENT…

BEGIN {
    split("raysweep make man cargo systemctl systemd-sysusers journalctl apt ssh ssh-keygen sqlite3 curl jq " \
          "promtool amtool install touch rm mv cp userdel runuser pkill grep zgrep sed openssl htpasswd", names, " ")
    for (i in names) programs[names[i]] = 1
    # What can be typed with one word after it.
    for (i = split("make man userdel touch rm", names, " "); i; i--) short[names[i]] = 1
    # Subcommands that want nothing more.
    for (i = split("check-config doctor status history", names, " "); i; i--) whole[names[i]] = 1
}

FNR == 1 { fence = ""; heading = ""; open = "" }

/^```/ {
    if (fence != "") fence = ""
    else { fence = substr($0, 4); if (fence == "") fence = "text" }
    open = ""
    next
}

fence == "sh" || fence == "console" { block($0); next }
fence != "" { next }

# Nothing goes on over an empty line or from row to row.
/^ *$/ { open = ""; next }
/^\|/ { open = "" }

/^#+ / { heading = $0; sub(/^#+ /, "", heading); open = ""; next }

{ prose(open == "" ? $0 : open " " $0, open == "" ? FNR : begun) }

function block(text) {
    sub(/^\$ /, "", text)
    if (held == "") first = FNR
    else sub(/^ +/, "", text)
    text = held text
    if (text ~ /\\$/) { held = substr(text, 1, length(text) - 1); return }
    held = ""
    comment = ""
    if (match(text, /(^| +)# .*$/)) {
        comment = substr(text, RSTART, RLENGTH)
        text = substr(text, 1, RSTART - 1)
        sub(/^ *# /, "", comment)
    }
    if (text !~ /^ *$/) tell(first, text)
}

# A span that begins on one line and ends on the next is looked at with that one.
function prose(text, line,    parts, count, i) {
    count = split(text, parts, "`")
    open = ""
    if (count % 2 == 0) { open = "`" parts[count]; begun = line }
    comment = ""
    for (i = 2; i < count; i += 2) if (typed(parts[i])) tell(line, parts[i])
}

function typed(span,    words, count) {
    count = split(span, words, " ")
    if (words[1] ~ /^(deploy|tests|benches|fuzz)\/[^ ]*\.sh$/) return count > 1
    if (!(words[1] in programs)) return 0
    if (words[1] in short) return count == 2 && words[2] ~ /^[a-z\/]/ || count > 2
    if (words[1] == "raysweep" && count == 2) return words[2] in whole
    return count > 2 || words[2] ~ /^--/
}

function tell(line, text) {
    printf "%s\t%d\t%s\t%s\t%s\n", FILENAME, line, heading, text, comment
}

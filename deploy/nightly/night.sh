#!/bin/sh
# One night of the batch job, whatever scheduler starts it (docs/nightly.md).
#
#   night.sh nightly               score new files; send an alert unless it succeeds
#   night.sh score                 score new files; the scheduler reports failures
#   night.sh again DAY PATTERN...  score the files of a past day again, as run day-DAY
#   night.sh alert CODE [DETAILS]  send the alert for an exit code to PENGUIN_ALERT
#
# Reads its settings from the file in PENGUIN_ENV (default: /etc/penguin/nightly.env).
set -eu

command=${1:-}
home=$(dirname "$0")/../..
output=
settle=600
pager=
run=

# Prints the alert for an exit code. "page" and "look" need a person, "note" does not.
meaning() {
    held=$output/_held/$run
    case $1 in
    0) echo 'note: published' ;;
    1) echo 'page: failed, nothing is published; running again may help' ;;
    2) echo 'page: bad arguments, model or card; running again does not help' ;;
    3) printf '%s\n' "look: held for its input, nothing is published; what was found is in $held" ;;
    4) printf '%s\n' "look: held for drift or accuracy, nothing is published; look at the model, and at $held" ;;
    75) echo "page: last night's run is still going" ;;
    126 | 127) echo 'page: penguin-score does not start; check PENGUIN_HOME' ;;
    130 | 143) echo 'note: interrupted, nothing is published; the next night scores the files' ;;
    137 | KILL) echo 'page: killed, possibly out of memory; running again is safe' ;;
    *) echo 'page: ended with an unexpected exit code' ;;
    esac
}

# alert CODE DETAILS: writes one line to standard error, and passes it to the alert command.
alert() {
    line="$(meaning "$1") [penguin-score on $(uname -n), exit $1, $2]"
    line=$(printf '%s' "$line" | tr -d '[:cntrl:]')
    printf '%s\n' "$line" >&2
    if [ -n "$pager" ] && ! "$pager" "$line" </dev/null; then
        printf '%s\n' "night.sh: $pager failed, so no alert was sent" >&2
    fi
}

fail() {
    printf '%s\n' "night.sh: $1" >&2
    if [ "$command" = nightly ]; then alert 2 "$1"; fi
    exit 2
}

# Whether $1 is a day of the calendar, written as 2026-11-21.
is_day() {
    case $1 in
    [0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]) ;;
    *) return 1 ;;
    esac
    month=${1#*-}
    # The 1 in front keeps the shell from reading 08 as an octal number.
    year=$((1${1%%-*} - 10000)) month=$((1${month%-*} - 100)) day=$((1${1##*-} - 100))
    case $month in
    2) last=$((28 + (year % 4 == 0 && year % 100 != 0 || year % 400 == 0))) ;;
    4 | 6 | 9 | 11) last=30 ;;
    *) last=31 ;;
    esac
    [ "$month" -ge 1 ] && [ "$month" -le 12 ] && [ "$day" -ge 1 ] && [ "$day" -le "$last" ]
}

usage='usage: night.sh nightly | score | again DAY PATTERN... | alert CODE [DETAILS]'
case $command in
nightly | score) [ $# -eq 1 ] || fail "$usage" ;;
again) [ $# -ge 3 ] || fail "$usage" ;;
alert) [ $# -ge 2 ] || fail "$usage" ;;
*) fail "$usage" ;;
esac
shift

if [ "$command" = again ]; then
    is_day "$1" || fail "again '$1': not a day, such as 2026-11-21"
    run=day-$1
    shift
    # Moves each pattern to the end as a flag; after one round, all are flags.
    for pattern; do
        [ -n "$pattern" ] || fail "again: a pattern is empty; name the day's files"
        shift
        set -- "$@" "--input=$pattern"
    done
fi

# The file is read, not executed: a value is the rest of its line, with spaces, quotes and $ taken literally.
settings=${PENGUIN_ENV:-/etc/penguin/nightly.env}
if [ -d "$settings" ] || [ ! -r "$settings" ]; then fail "cannot read the settings in $settings"; fi
windows=$(printf '\r')
mark=$(printf '\357\273\277')
number=0
problem=

# Keeps the first problem: an alert about it needs the settings that follow.
complain() {
    [ -n "$problem" ] || problem="$settings line $number: $1"
}

while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    case $line in
    "$mark"*)
        complain 'begins with a byte-order mark; save the file as UTF-8 without one'
        line=${line#"$mark"}
        ;;
    esac
    case $line in
    *"$windows"*)
        complain 'ends as on Windows; save the file with Unix line ends (LF)'
        line=${line%"$windows"}
        ;;
    esac
    case $line in
    '#'*) continue ;;
    *[![:space:]]*) ;;
    *) continue ;;
    esac
    name=${line%%=*}
    value=${line#*=}
    case $name:$value in
    "$line:$line") complain "not a setting such as PENGUIN_OUTPUT=/folder: $line" ;;
    *:) complain "$name is missing its value; give one, or delete the line" ;;
    *[[:space:]]:* | [[:space:]]* | *:[[:space:]]* | *[[:space:]])
        complain "remove the spaces around the name or the value: $line"
        ;;
    esac
    case $line in
    PENGUIN_HOME=*) home=$value ;;
    PENGUIN_OUTPUT=*) output=$value ;;
    PENGUIN_SETTLE_SECONDS=*) settle=$value ;;
    PENGUIN_ALERT=*) pager=$value ;;
    PENGUIN_INPUT=* | PENGUIN_FLAG=*)
        case $command:$line in
        again:PENGUIN_INPUT=* | alert:*) ;;
        *:PENGUIN_INPUT=*) set -- "$@" "--input=$value" ;;
        *) set -- "$@" "$value" ;;
        esac
        ;;
    *) complain "no such setting: $line" ;;
    esac
done <"$settings"

if [ "$command" = alert ]; then
    # Whatever is wrong with another setting, the alert goes out.
    [ -z "$problem" ] || printf '%s\n' "night.sh: $problem" >&2
    alert "$1" "${2:-no details}"
    exit
fi
[ -z "$problem" ] || fail "$problem"

[ -n "$output" ] || fail "$settings: PENGUIN_OUTPUT is missing"
cd -- "$home" || fail "$settings: no folder PENGUIN_HOME=$home"
if [ "$command" = again ]; then
    set -- "$@" --replace
else
    run=night-$(date -u +%Y%m%dT%H%M%SZ)
    set -- "$@" --new_only "--settle_seconds=$settle"
fi
set -- .venv/bin/penguin-score "--output=$output" "--run_id=$run" "$@"

[ "$command" = nightly ] || exec "$@"

"$@" &
job=$!
# A signal only interrupts this shell's wait, so pass it on and wait for the job to end.
trap 'kill -TERM "$job" 2>/dev/null || :' HUP INT TERM
code=0
wait "$job" || code=$?
while kill -0 "$job" 2>/dev/null; do
    code=0
    wait "$job" || code=$?
done
[ "$code" -eq 0 ] || alert "$code" "run $run"
exit "$code"

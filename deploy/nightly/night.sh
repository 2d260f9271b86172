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
    3) printf '%s\n' "look: too many rejects, nothing is published; the rejects are in $held" ;;
    4) printf '%s\n' "look: drift, nothing is published; look at the model, and at $held" ;;
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

usage='usage: night.sh nightly | score | again DAY PATTERN... | alert CODE [DETAILS]'
case $command in
nightly | score) [ $# -eq 1 ] || fail "$usage" ;;
again) [ $# -ge 3 ] || fail "$usage" ;;
alert) [ $# -ge 2 ] || fail "$usage" ;;
*) fail "$usage" ;;
esac
shift

if [ "$command" = again ]; then
    run=day-$1
    shift
    # Moves each pattern to the end as a flag; after one round, all are flags.
    for pattern; do
        shift
        set -- "$@" "--input=$pattern"
    done
fi

# The file is read, not executed: a value is the rest of its line, with spaces, quotes and $ taken literally.
settings=${PENGUIN_ENV:-/etc/penguin/nightly.env}
[ -r "$settings" ] || fail "cannot read the settings in $settings"
while IFS= read -r line || [ -n "$line" ]; do
    value=${line#*=}
    case $line in
    '' | '#'*) ;;
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
    *) fail "$settings: no such setting: $line" ;;
    esac
done <"$settings"

if [ "$command" = alert ]; then
    alert "$1" "${2:-no details}"
    exit
fi

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

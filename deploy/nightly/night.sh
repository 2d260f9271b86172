#!/bin/sh
# One night of the batch job, whatever scheduler starts it (docs/nightly.md).
#
#   night.sh nightly               score what is new; tell PENGUIN_ALERT of anything but success
#   night.sh score                 score what is new; the scheduler tells of failures
#   night.sh again DAY PATTERN...  score the files of a past day once more, as run day-DAY
#   night.sh alert CODE [DETAILS]  tell PENGUIN_ALERT what an exit code means
#
# Settings come from the file that PENGUIN_ENV names (/etc/penguin/nightly.env).
set -eu

command=${1:-}
home=$(dirname "$0")/../..
output=
settle=600
pager=
run=

# Prints the alert for an exit code: "page" and "look" want a person, "note" does not.
meaning() {
    held=$output/_held/$run
    case $1 in
    0) echo 'note: published' ;;
    1) echo 'page: failed, nothing is published; running again may help' ;;
    2) echo 'page: bad arguments, model or card; running again does not help' ;;
    3) printf '%s\n' "look: too many rejects, nothing is published; they lie in $held" ;;
    4) printf '%s\n' "look: drift, nothing is published; look at the model, and at $held" ;;
    75) echo 'page: the night before still runs' ;;
    126 | 127) echo 'page: penguin-score does not start; look at PENGUIN_HOME' ;;
    130 | 143) echo 'note: interrupted, nothing is published; the next night scores the files' ;;
    137 | KILL) echo 'page: killed, perhaps for want of memory; running again is safe' ;;
    *) echo 'page: ended in a way that was not foreseen' ;;
    esac
}

# alert CODE DETAILS: one line to standard error and, as one argument, to the alert command.
alert() {
    line="$(meaning "$1") [penguin-score on $(uname -n), exit $1, $2]"
    line=$(printf '%s' "$line" | tr -d '[:cntrl:]')
    printf '%s\n' "$line" >&2
    if [ -n "$pager" ] && ! "$pager" "$line" </dev/null; then
        printf '%s\n' "night.sh: $pager failed, so nobody was told" >&2
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
    # Each pattern goes to the end as a flag, so that all have had their turn after one round.
    for pattern; do
        shift
        set -- "$@" "--input=$pattern"
    done
fi

# The file is read, not run: a value is the rest of its line, spaces, quotes and $ as they stand.
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
# A signal ends this shell's wait, not the job: it is passed on, and the job's own end waited for.
trap 'kill -TERM "$job" 2>/dev/null || :' HUP INT TERM
code=0
wait "$job" || code=$?
while kill -0 "$job" 2>/dev/null; do
    code=0
    wait "$job" || code=$?
done
[ "$code" -eq 0 ] || alert "$code" "run $run"
exit "$code"

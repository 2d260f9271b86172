#!/bin/sh
# Make or refresh .venv for the Makefile: setup_venv.sh empty|runtime|dev
#
# A stamp with a checksum of the lock file and pyproject.toml is written into .venv last: nothing is
# installed twice, a changed lock is installed, an interrupted installation is repeated.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "$1" >&2
    exit 1
}

# Sets PYTHON, which the caller may have set, to a command in the range of pyproject.toml.
choose_python() {
    if [ -z "${PYTHON:-}" ]; then
        PYTHON=python3
        for candidate in python3.11 python3.12 python3.13; do
            # Not `command -v`: a pyenv shim may stand for a version that is switched off.
            if "$candidate" --version >/dev/null 2>&1; then PYTHON=$candidate; break; fi
        done
    fi
    advice="install python3.11, or name another with PYTHON=/path/to/python3.12"
    version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
        fail "Python 3.11, 3.12 or 3.13 is needed, and $PYTHON does not run: $advice"
    case $version in
    3.11 | 3.12 | 3.13) ;;
    *) fail "Python 3.11, 3.12 or 3.13 is needed, and $PYTHON is $version: $advice" ;;
    esac
}

create() {
    choose_python
    rm -rf .venv
    # Debian keeps both modules in a package of its own; asking first spares the reader venv's long answer.
    if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || ! "$PYTHON" -m venv .venv >&2; then
        rm -rf .venv
        package=python$version-venv
        fail "$PYTHON cannot make .venv: install $package (Debian/Ubuntu: apt install $package)"
    fi
}

usable() {
    .venv/bin/python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' &&
        .venv/bin/python -m pip --version
} >/dev/null 2>&1

# The working directory is part of it because the project is installed as a link to it.
checksum() {
    pwd
    cat pyproject.toml "locks/$1.lock" | cksum
}

current() {
    [ -x .venv/bin/python ] && [ "$(cat ".venv/$1.stamp" 2>/dev/null)" = "$(checksum "$1")" ]
}

pip_install() {
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"
}

install() {
    echo "Installing the pinned packages into .venv (up to 2.7 GB on disk, a few minutes) ..."
    # What comes as source is built by the locked setuptools, so that nothing unpinned is fetched.
    # The lock is complete, hence --no-deps: pip passes over a pin where another package asks for an
    # extra of the pinned one, and fails on the day that this has a newer release.
    sed -n '/^setuptools==/,/#/p' "$1" >.venv/setuptools.lock
    pip_install --no-deps --require-hashes --requirement .venv/setuptools.lock
    pip_install --no-deps --require-hashes --no-build-isolation --requirement "$1"
    pip_install --no-deps --no-build-isolation --editable .
}

case ${1:-} in
empty) names= ;;
runtime) names=requirements ;;
# The second holds all of the first, in the same versions.
dev) names="requirements-dev requirements" ;;
*) fail "usage: setup_venv.sh empty|runtime|dev" ;;
esac

if [ -n "$names" ] && current "${names%% *}"; then exit; fi
usable || create
if [ -n "$names" ]; then
    install "locks/${names%% *}.lock"
    for name in $names; do checksum "$name" >".venv/$name.stamp"; done
fi

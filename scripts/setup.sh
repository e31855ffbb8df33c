#!/bin/sh
# Make this checkout ready to run: the system tools, a virtual environment, the locked packages, the project itself.
# Quick when nothing changed. Needs a Python of pyproject.toml's range with venv, and the ordinary package registries.
#   setup.sh tests          see to what only the tests want, too
#   PYTHON=/path/to/python  use this interpreter for a new virtual environment
set -eu
export DEBIAN_FRONTEND=noninteractive
cd "$(dirname "$0")/.."

venv=.venv
lock=requirements/dev.lock
stamp=$venv/.setup-done
place=$venv/.place
candidates=${PYTHON:-python3.13 python3.12 python3.11 python3}

fail() {
    printf 'setup: %s\n' "$1" >&2
    exit 1
}

can_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1
}

try_apt_install() {
    printf 'setup: installing %s with apt-get\n' "$1"
    if ! said=$({ apt-get update -qq && apt-get install -y -qq --no-install-recommends "$1"; } 2>&1 </dev/null); then
        printf '%s\n' "$said" >&2
        return 1
    fi
}

apt_install() {
    try_apt_install "$1" || fail "apt-get could not install $1"
}

# need_tool COMMAND DEBIAN-PACKAGE BREW-FORMULA
need_tool() {
    command -v "$1" >/dev/null 2>&1 && return
    can_install || fail "$1 is missing: install it first (Debian: apt-get install $2; macOS: brew install $3)"
    apt_install "$2"
    command -v "$1" >/dev/null 2>&1 || fail "$2 is installed, but $1 is not on the PATH"
}

# The tests start a PostgreSQL of their own; where it is missing they skip, so it is wanted and not needed. Debian keeps the
# server's programs off the PATH.
has_postgres() {
    command -v initdb >/dev/null 2>&1 && return
    for program in /usr/lib/postgresql/*/bin/initdb /opt/homebrew/opt/postgresql*/bin/initdb \
        /usr/local/opt/postgresql*/bin/initdb; do
        [ -x "$program" ] && return
    done
    return 1
}

want_postgres() {
    has_postgres && return
    if ! { can_install && try_apt_install postgresql && has_postgres; }; then
        printf 'setup: PostgreSQL is missing, its tests will skip (Debian: apt-get install postgresql; macOS: %s)\n' \
            'brew install postgresql' >&2
    fi
}

# A name on the PATH may be a version manager's shim without a version behind it: only running it tells.
fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' </dev/null >/dev/null 2>&1
}

has_venv() {
    "$1" -c 'import ensurepip, venv' </dev/null >/dev/null 2>&1
}

# Prints the first fitting interpreter that can make virtual environments.
find_python() {
    for candidate in $candidates; do
        if fits "$candidate" && has_venv "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    return 1
}

any_fits() {
    for candidate in $candidates; do
        fits "$candidate" && return
    done
    return 1
}

make_venv() {
    any_fits || fail "no Python 3.11, 3.12 or 3.13 found (looked for: $candidates)"
    if ! python=$(find_python); then
        can_install || fail "this Python has no venv module: install it first (Debian: apt-get install python3-venv)"
        apt_install python3-venv
        python=$(find_python) || fail "python3-venv is installed, but no Python here can make a virtual environment"
    fi
    printf 'setup: making %s with %s (%s)\n' "$venv" "$python" "$("$python" -V)"
    "$python" -m venv --clear "$venv"
    pwd >"$place"
}

# The commands in a virtual environment name its place: when the checkout was moved, it is made anew.
venv_is_sound() {
    fits "$venv/bin/python" && "$venv/bin/python" -c 'import pip' 2>/dev/null && pwd | cmp -s - "$place"
}

# pip's own settings for certificates, proxies and mirrors stay in force; those which would install the packages elsewhere,
# or others than the locked ones, do not.
pip_install() {
    env -u PIP_TARGET -u PIP_PREFIX -u PIP_ROOT -u PIP_USER -u PIP_CONSTRAINT -u PIP_BUILD_CONSTRAINT -u PIP_REQUIREMENT \
        -u PIP_EDITABLE -u PIP_NO_BINARY -u PIP_ONLY_BINARY -u PIP_PRE -u PIP_DRY_RUN -u PIP_REPORT -u PIP_PYTHON \
        -u PIP_REQUIRE_HASHES -u PIP_NO_DEPS -u PIP_IGNORE_INSTALLED -u PIP_FORCE_REINSTALL -u PYTHONPATH -u PYTHONHOME \
        PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore \
        "$venv/bin/python" -m pip install --quiet "$@" </dev/null
}

# What the environment was made from.
wanted() {
    cat pyproject.toml "$lock" scripts/setup.sh
}

need_tool openssl openssl openssl
need_tool softhsm2-util softhsm2 softhsm
if [ "${1:-}" = tests ]; then want_postgres; fi

if venv_is_sound; then
    if wanted | cmp -s - "$stamp"; then
        exit 0
    fi
else
    make_venv
fi
rm -f "$stamp"
printf 'setup: installing the packages of %s\n' "$lock"
# The lock file is complete, so nothing is left to resolve: a pip that looks for `coverage[toml]` beside the locked `coverage`
# would take the newest release for it, and refuse that for want of a hash.
pip_install --require-hashes --no-deps -r "$lock" || fail "pip could not install the packages of $lock"
pip_install --no-deps --no-build-isolation -e . || fail "pip could not install the project itself"
wanted >"$stamp"
printf 'setup: done (%s)\n' "$("$venv/bin/python" -V)"

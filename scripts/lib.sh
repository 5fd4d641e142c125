# shellcheck shell=bash
# Shared by the scripts beside it: sourced, never run. After it the working directory is the top of the repository.
#
# The rule of all scripts: install only what is missing, ask nothing, say what is going on, and end with a sentence
# that tells what to do when something cannot be had.

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top"
target=${CARGO_TARGET_DIR:-$top/target}
# Debian leaves these out for users other than root; dockerd is in one of them.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# Progress and errors go to standard error: standard output belongs to what the scripts run.
if [[ -t 2 ]]; then
    bold=$'\e[1m' red=$'\e[31m' plain=$'\e[0m'
else
    bold='' red='' plain=''
fi

say() {
    printf '%s==>%s %s\n' "$bold" "$plain" "$*" >&2
}

die() {
    printf '%s%s: %s%s\n' "$red" "${0##*/}" "$*" "$plain" >&2
    exit 1
}

have() {
    command -v -- "$1" >/dev/null 2>&1
}

as_root() {
    if ((EUID == 0)); then
        "$@"
    elif have sudo; then
        sudo -- "$@"
    else
        die "this needs root, and there is no sudo: $*"
    fi
}

# apt_get ARGUMENT…: waits for another apt instead of failing, and never asks.
apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null >&2
}

# The package lists are fetched at most once a run, the scripts it calls included, and only when something is to be
# installed.
apt_update() {
    [[ -n ${DESKINIT_APT_UPDATED-} ]] && return
    export DESKINIT_APT_UPDATED=1
    say "fetching the package lists"
    # One broken source of somebody else must not stop the rest: what is really missing is told by the install.
    apt_get update || say "some package lists could not be fetched; going on with what there is"
}

# need THING[=PACKAGE]…: THING is a command, or a path when it begins with a slash; PACKAGE is the Debian package that
# has it, by default of the same name.
need() {
    local item thing package missing=()
    for item; do
        thing=${item%%=*} package=${item#*=}
        if [[ $thing == /* ]]; then
            [[ -e $thing ]] && continue
        elif have "$thing"; then
            continue
        fi
        [[ " ${missing[*]} " == *" $package "* ]] || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    have apt-get || die "please install: ${missing[*]} (there is no apt-get here, so this script cannot)"
    apt_update
    say "installing ${missing[*]}"
    apt_get install --yes --no-install-recommends "${missing[@]}" || die "could not install: ${missing[*]}"
    hash -r
}

# What `deskinit run` needs of the system to show anything: an X server, its keyboard compiler, a window manager.
need_desktop() {
    need Xvfb=xvfb xkbcomp=x11-xkb-utils /usr/share/X11/xkb=xkb-data openbox
}

# What a build needs: a Rust toolchain, which is the user's to choose; a C compiler and an assembler for libjpeg-turbo;
# npm, by which build.rs gets noVNC for the page.
need_build() {
    # rustup puts its commands where a shell without a login does not look.
    if ! have cargo && [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]]; then
        PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    fi
    local wanted found
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    have cargo || die "Rust $wanted or newer is needed: https://rustup.rs tells how to get it; then run this again"
    found=$(rustc --version | cut -d' ' -f2)
    [[ $(printf '%s\n' "$wanted" "$found" | sort -V | head -n1) == "$wanted" ]] ||
        die "Rust $wanted or newer is needed, this is $found: run 'rustup update'"
    need cc=gcc /usr/include/string.h=libc6-dev cmake make nasm node=nodejs npm
}

# npm_ci DIRECTORY: what its package-lock.json names, unless it is there already.
npm_ci() {
    [[ $1/node_modules/.package-lock.json -nt $1/package-lock.json ]] && return
    need node=nodejs npm
    say "installing the npm packages of $1"
    npm --prefix "$1" ci --no-audit --no-fund --loglevel=error >&2 || die "npm ci failed in $1"
}

# python_tools LIST: a virtual environment in target/tools with what the requirements file LIST names; its bin directory
# comes first in PATH afterwards.
python_tools() {
    local list=$1 venv
    venv=$target/tools/$(basename "$(dirname "$list")")
    # A new version of Python leaves an old environment behind that does not start any more.
    if [[ ! $venv/installed -nt $list ]] || ! "$venv/bin/python" -c '' 2>/dev/null; then
        need python3
        # Debian splits the part that makes environments off into a package of its own.
        python3 -c 'import ensurepip' 2>/dev/null || need /nonexistent=python3-venv
        say "installing what $list names"
        rm -rf -- "$venv"
        python3 -m venv "$venv" >&2
        "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$list" >&2 ||
            die "could not install what $list names"
        touch "$venv/installed"
    fi
    PATH="$venv/bin:$PATH"
}

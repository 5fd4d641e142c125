#!/usr/bin/env bash
# tests/scripts/run.sh: the README's first command, as a user gives it: it comes up, is reachable from this machine
# only, stops at Ctrl-C, and leaves nothing behind.

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
need curl python3

work=$(mktemp -d /tmp/deskinit-run-test.XXXXXX)
# Below those that the kernel gives to connections: one of those could be in use again before the program listens.
free_port() {
    python3 -c 'import random, socket
for port in random.sample(range(10000, 30000), 100):
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) != 0:
            print(port)
            break'
}
web=$(free_port) rfb=$(free_port)

# Job control gives the script a process group of its own, as a terminal does: Ctrl-C reaches all of it.
set -m
# As in a session that has a display already, which is not to be taken.
DISPLAY=localhost:10.0 WAYLAND_DISPLAY=wayland-0 NO_VNC_PORT=$web VNC_PORT=$rfb RUN_DIR=$work/run PROFILE=dev scripts/run xterm >"$work/log" 2>&1 </dev/null &
group=$!
set +m
trap 'kill -KILL -- "-$group" 2>/dev/null || true; rm -rf -- "$work"' EXIT

passed=0 failed=0
check() {
    if "${@:2}"; then
        passed=$((passed + 1))
        echo "ok      $1"
    else
        failed=$((failed + 1))
        echo "FAILED  $1"
    fi
}

# within SECONDS COMMAND…
within() {
    local end=$((SECONDS + $1))
    until "${@:2}"; do
        ((SECONDS < end)) || return 1
        sleep 0.1
    done
}

# The build may still have to happen; when the script ends, waiting is over.
is_ready() { curl --silent --fail --output /dev/null --max-time 2 "http://127.0.0.1:$web/readyz" || ! kill -0 "$group" 2>/dev/null; }
answers() { curl --silent --fail --output /dev/null --max-time 2 "$1"; }
only_loopback() {
    local open
    open=$(ss --no-header --listening --tcp --numeric "( sport = :$web or sport = :$rfb )" | awk '{print $4}')
    [[ -n $open ]] && ! grep --quiet --invert-match --extended-regexp '^(127\.0\.0\.1|\[::1\]):' <<<"$open"
}
is_over() { ! kill -0 -- "-$group" 2>/dev/null; }
shows_address() { grep --quiet --fixed-strings "http://127.0.0.1:$web/" "$work/log"; }

need ss=iproute2
check "becomes ready" within 1500 is_ready
check "is still there" answers "http://127.0.0.1:$web/livez"
check "shows the page" answers "http://127.0.0.1:$web/"
check "says where" shows_address
check "listens on loopback only" only_loopback
kill -INT -- "-$group"
check "stops at Ctrl-C" within 10 is_over
check "leaves no directory" test ! -e "$work/run"
((failed)) && sed 's/^/        | /' "$work/log"
echo "scripts/run: $passed passed, $failed failed"
((failed == 0))

#!/usr/bin/python3
"""What supervisord itself makes of configuration files: for each file named on standard input a line of JSON, either
{"refused": why} or {"programs": […]} in the order in which it starts them. Debian's package supervisor has the classes."""

import json
import shlex
import sys

from supervisor.datatypes import Automatic, RestartUnconditionally, RestartWhenExitUnexpected
from supervisor.options import ServerOptions


class Refused(Exception):
    pass


def stream(config, which):
    path = getattr(config, which + "_logfile")
    if path is None and getattr(config, which + "_syslog"):
        return "stdout"
    if path is None or path == "/dev/null":
        return "nowhere"
    if path is Automatic or path in (
        "/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2", "/proc/self/fd/1", "/proc/self/fd/2",
        "/proc/1/fd/1", "/proc/1/fd/2",
    ):
        return "stdout"
    size = max(getattr(config, which + "_logfile_maxbytes"), 0)
    backups = min(max(getattr(config, which + "_logfile_backups"), 0), 1000)
    return [path, size, backups]


def program(group, config):
    # It splits the command when it starts the program, and fails then.
    try:
        command = shlex.split(config.command)
    except ValueError as why:
        raise Refused(str(why))
    if not command or not command[0]:
        raise Refused("no command")
    restart = {RestartUnconditionally: "always", RestartWhenExitUnexpected: "on-failure", False: "never"}
    stdout = stream(config, "stdout")
    return {
        "name": config.name,
        "group": group.name,
        "command": command,
        "environment": config.environment,
        "directory": config.directory,
        "uid": config.uid,
        "umask": None if config.umask is None else config.umask & 0o777,
        "priority": config.priority,
        "autostart": config.autostart,
        "restart": restart[config.autorestart],
        "exit_codes": config.exitcodes,
        "start_time": max(config.startsecs, 0),
        "start_retries": max(config.startretries, 0),
        "stop_signal": int(config.stopsignal),
        "stop_time": max(config.stopwaitsecs, 0),
        "stdout": stdout,
        "stderr": stdout if config.redirect_stderr else stream(config, "stderr"),
    }


def read(path):
    options = ServerOptions()
    options.configfile = path
    try:
        options.process_config(do_usage=False)
        programs = []
        for group in options.configroot.supervisord.process_group_configs:
            # As its ProcessGroup does before it starts them.
            for config in sorted(group.process_configs, key=lambda config: config.priority):
                programs.append(program(group, config))
    except Exception as why:  # whatever it fails with, it does not start
        return {"refused": "%s: %s" % (type(why).__name__, why)}
    return {"programs": programs}


for line in sys.stdin:
    print(json.dumps(read(line.rstrip("\n"))))

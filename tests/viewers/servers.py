"""What is tested: deskinit, or TigerVNC's server, which shows that the method itself is right."""

import contextlib
import os
import random
import socket
import subprocess

from screen import Display, end_process, wait_for

PASSWORD = "s3cret-8"
SIZE = "1024x768"


class Server:
    """A running desktop with an xterm that writes the lines it receives into `typed`."""

    def __init__(self, stack, work):
        self.typed = os.path.join(work, "typed")
        self.log = os.path.join(work, "server.log")
        self.port = free_port()
        # Lines arrive in the file when Return is pressed; -bc and friends off: nothing may blink in a comparison.
        self.application = [
            "xterm", "-u8", "+bc", "-geometry", "80x24+40+60", "-title", "typed", "-e",
            "sh", "-c", f"ls --color=always / /bin | head -n 12; exec cat > {self.typed}",
        ]  # fmt: skip
        self.start(stack, work)
        wait_for("RFB port", 20, self.listens)
        wait_for("application", 20, lambda: self.display.window("--name", "^typed$") and os.path.exists(self.typed))
        # Something that is neither flat nor text: what JPEG is used for. (The exit code says nothing here.)
        self.display.ask("display", "-size", SIZE, "-seed", "7", "-window", "root", "plasma:fractal")
        wait_for("picture with many colours", 10, lambda: self.display.picture().colours() > 1000)

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def read(self):
        with open(self.typed, encoding="utf-8", errors="replace") as file:
            return file.read()


class Deskinit(Server):
    near = 0

    def __init__(self, stack, work, binary):
        self.binary = binary
        super().__init__(stack, work)

    def start(self, stack, work):
        number = next(n for n in range(90, 400) if not os.path.exists(f"/tmp/.X11-unix/X{n}") and not os.path.exists(f"/tmp/.X{n}-lock"))
        run_dir = os.path.join(work, "run")
        environment = os.environ | {
            "DISPLAY": f":{number}",
            "DISPLAY_WIDTH": SIZE.split("x")[0],
            "DISPLAY_HEIGHT": SIZE.split("x")[1],
            "LANG": "C.UTF-8",
            "NO_VNC_PORT": str(free_port()),
            "RUN_DIR": run_dir,
            "SECURE_CONNECTION": "1",
            "VNC_PASSWORD": PASSWORD,
            "VNC_PORT": str(self.port),
        }
        environment.pop("XAUTHORITY", None)
        with open(self.log, "wb") as log:
            server = subprocess.Popen(
                [self.binary, "run", "--", *self.application],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        stack.callback(end_process, server)
        self.display = Display(f":{number}", os.path.join(run_dir, "Xauthority"))


class Xtigervnc(Server):
    # It leaves JPEG as it is, or sends it again as better JPEG.
    near = 200

    def start(self, stack, work):
        secret = os.path.join(work, "server-password")
        write_password(secret)
        end, other = os.pipe()
        with open(self.log, "wb") as log:
            server = subprocess.Popen(
                ["Xtigervnc", "-displayfd", str(other), "-rfbport", str(self.port), "-localhost", "-geometry", SIZE,
                 "-depth", "24", "-SecurityTypes", "VncAuth", "-PasswordFile", secret],
                pass_fds=[other], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        stack.callback(end_process, server)
        os.close(other)
        with os.fdopen(end) as numbers:
            self.display = Display(f":{numbers.readline().strip()}")
        stack.callback(end_process, self.display.start("openbox"))
        wait_for("window manager", 10, lambda: b"window id" in self.display.ask("xprop", "-root", "_NET_SUPPORTING_WM_CHECK"))
        stack.callback(end_process, self.display.start(*self.application))


def write_password(path):
    """The file that TigerVNC's programs read a password from."""
    done = subprocess.run(["tigervncpasswd", "-f"], input=PASSWORD.encode(), capture_output=True, check=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(done.stdout)


def free_port():
    """Below those that the kernel gives to connections, one of which could be in use again before the server listens.
    gvncviewer counts ports from 5900, so it is above that."""
    while True:
        port = random.randrange(10000, 30000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port

"""X displays: starting one, looking at it, comparing what is seen."""

import os
import struct
import subprocess
import time
from dataclasses import dataclass


def wait_for(what, seconds, probe):
    """Asks `probe` until it returns something; `what` is the sentence of the error."""
    end = time.monotonic() + seconds
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"no {what} within {seconds} s")
        time.sleep(0.03)


@dataclass(eq=True)
class Picture:
    """Rows of 0x00RRGGBB pixels, four bytes each, blue first."""

    width: int
    height: int
    pixels: bytes

    @staticmethod
    def from_xwd(dump):
        """Reads what xwd prints: 25 big-endian words, a name, a colour map, the pixels."""
        words = struct.unpack_from(">25I", dump)
        header, version, pixmap, _, width, height = words[:6]
        byte_order, bits, stride, colours = words[7], words[11], words[12], words[19]
        if (version, pixmap, byte_order, bits) != (7, 2, 0, 32):
            raise ValueError(f"not a dump of 32 bits, least significant byte first: {words}")
        at = header + 12 * colours
        rows = (dump[at + y * stride : at + y * stride + 4 * width] for y in range(height))
        return Picture(width, height, _without_padding(b"".join(rows)))

    @staticmethod
    def from_image(image):
        """Takes a picture of Pillow's."""
        return Picture(image.width, image.height, _without_padding(image.convert("RGBA").tobytes("raw", "BGRA")))

    def crop(self, x, y, width, height):
        rows = (self.pixels[4 * ((y + row) * self.width + x) :][: 4 * width] for row in range(height))
        return Picture(width, height, b"".join(rows))

    def difference(self, other):
        """(how many pixels differ, by how much at most in one colour)."""
        if (self.width, self.height) != (other.width, other.height):
            raise AssertionError(f"{self.width}x{self.height} against {other.width}x{other.height}")
        if self.pixels == other.pixels:
            return 0, 0
        distances = bytes(abs(a - b) for a, b in zip(self.pixels, other.pixels))
        return sum(any(distances[i : i + 4]) for i in range(0, len(distances), 4)), max(distances)

    def colours(self):
        return len({self.pixels[i : i + 4] for i in range(0, len(self.pixels), 4)})

    def save(self, path):
        from PIL import Image

        Image.frombytes("RGB", (self.width, self.height), self.pixels, "raw", "BGRX").save(path)


def _without_padding(pixels):
    cleared = bytearray(pixels)
    cleared[3::4] = bytes(len(cleared) // 4)
    return bytes(cleared)


class Display:
    """An X display as a place for commands; `environment` leads there."""

    def __init__(self, name, authority=None):
        self.name = name
        self.environment = os.environ | {"DISPLAY": name, "LANG": "C.UTF-8"}
        self.environment.pop("XAUTHORITY", None)
        if authority:
            self.environment["XAUTHORITY"] = authority

    def start(self, *command, **options):
        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.DEVNULL)
        return subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, **options)

    def run(self, *command):
        done = subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
        if done.returncode:
            raise AssertionError(f"{command} failed with {done.returncode}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def ask(self, *command):
        """What the command prints, or nothing when it fails."""
        done = subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
        return b"" if done.returncode else done.stdout

    def picture(self, window="root"):
        where = ["-root"] if window == "root" else ["-id", window]
        return Picture.from_xwd(self.run("xwd", "-silent", *where))

    def keyboard(self, layout, variant="", *changes):
        self.run("setxkbmap", "-rules", "evdev", "-model", "pc105", "-layout", layout, "-variant", variant)
        for change in changes:
            self.run("xmodmap", "-e", change)

    def window(self, *search):
        """The last window that xdotool finds, as a string, or None."""
        found = self.ask("xdotool", "search", "--onlyvisible", *search).split()
        return found[-1].decode() if found else None


class PrivateDisplay(Display):
    """An Xvfb of our own, with a window manager."""

    def __init__(self, stack, size="1400x1100"):
        end, other = os.pipe()
        command = ["Xvfb", "-displayfd", str(other), "-screen", "0", f"{size}x24", "-nolisten", "tcp", "-noreset"]
        server = subprocess.Popen(command, pass_fds=[other], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(end_process, server)
        os.close(other)
        with os.fdopen(end) as numbers:
            number = numbers.readline().strip()
        if not number:
            raise AssertionError("Xvfb did not start")
        super().__init__(f":{number}")
        manager = self.start("openbox", "--config-file", os.path.join(os.getcwd(), "openbox/rc.xml"))
        stack.callback(end_process, manager)
        wait_for("window manager", 10, lambda: b"window id" in self.ask("xprop", "-root", "_NET_SUPPORTING_WM_CHECK"))


def end_process(process):
    """TERM, and KILL when that was not enough; returns the exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()

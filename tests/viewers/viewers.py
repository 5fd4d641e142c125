"""Real viewers against a real server: the right picture, and the right characters.

A case starts a viewer on a display of its own, waits until what it shows equals the server's screen pixel by pixel, then
presses keys there as a person would and reads what the application behind the server received.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import ExitStack

from screen import Picture, PrivateDisplay, end_process, wait_for
from servers import PASSWORD, Deskinit, Xtigervnc, write_password

TEXT = "@€ñ{}|~"

SHIFT, ALT_GR = "50", "108"
# The keys (X keycodes) that carry TEXT on a keyboard. The German one has no ñ: it is put on AltGr+N, as people do.
KEYBOARDS = {
    ("us", "altgr-intl"): [
        (SHIFT, "11"), (ALT_GR, "14"), (ALT_GR, "57"), (SHIFT, "34"), (SHIFT, "35"), (SHIFT, "51"), (SHIFT, "49"),
    ],
    ("de", ""): [
        (ALT_GR, "24"), (ALT_GR, "26"), (ALT_GR, "57"), (ALT_GR, "16"), (ALT_GR, "19"), (ALT_GR, "94"), (ALT_GR, "35"),
    ],
}  # fmt: skip
KEYS_ADDED = ["keycode 57 = n N n N ntilde Ntilde"]


class Viewer:
    """A viewer with a window on `display`."""

    def __init__(self, stack, server, display, work):
        self.server, self.display, self.work = server, display, work
        self.process, self.place = None, 0
        stack.callback(self.close)
        self.process = self.open()
        self.window = wait_for("viewer's window", 15, self.find)
        # Servers paint the cursor into the picture for a client that has not moved it itself.
        wait_for("pointer that follows", 5, self.points)

    def close(self):
        if self.process:
            end_process(self.process)

    def find(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the viewer ended with {self.process.returncode}")
        return self.display.window("--pid", str(self.process.pid))

    def points(self):
        """Moves the pointer over the window; does the server's follow?"""
        was = self.server.display.run("xdotool", "getmouselocation")
        self.display.run("xdotool", "mousemove", "--window", self.window, str(300 + self.place), "500")
        self.place = (self.place + 20) % 100
        # The move above is a warp, which some viewers take no notice of; this one is what a mouse sends.
        self.display.run("xdotool", "mousemove_relative", "7", "7")
        time.sleep(0.05)
        return self.server.display.run("xdotool", "getmouselocation") != was

    def shown(self):
        """The part of the window that is the server's screen: what other viewers put above it is cut off."""
        screen = self.server.display.picture()
        window = self.display.picture(self.window)
        if window.width < screen.width or window.height < screen.height:
            return screen, None
        left = (window.width - screen.width) // 2
        return screen, window.crop(left, window.height - screen.height, screen.width, screen.height)

    def equals(self):
        screen, shown = self.shown()
        return shown == screen

    def check_picture(self, near=0):
        """Waits for equality; `near` is how far a colour may be off in the end, for servers that never send it exactly."""
        start = time.monotonic()
        try:
            wait_for("equal picture", 4, self.equals)
        except AssertionError as e:
            screen, shown = self.shown()
            screen.save("/tmp/viewer-expected.png")
            if shown is None:
                self.display.picture(self.window).save("/tmp/viewer-shown.png")
                raise
            shown.save("/tmp/viewer-shown.png")
            count, distance = screen.difference(shown)
            if near and distance <= near:
                return f"near: {count} pixels differ by at most {distance}"
            raise AssertionError(f"{e}: {count} pixels differ by up to {distance}; see /tmp/viewer-*.png") from e
        return f"equal after {time.monotonic() - start:.1f} s"

    def type(self, keyboard):
        self.display.run("xdotool", "windowfocus", "--sync", self.window)
        # A click on the server's terminal gives it the focus there.
        place = self.display.run("xdotool", "getwindowgeometry", "--shell", self.window).decode()
        at = dict(line.split("=") for line in place.split())
        top = int(at["HEIGHT"]) - 768
        self.display.run("xdotool", "mousemove", str(int(at["X"]) + 200), str(int(at["Y"]) + top + 200), "click", "1")
        for modifier, key in KEYBOARDS[keyboard]:
            self.display.run("xdotool", "keydown", modifier, "key", key, "keyup", modifier)
        self.display.run("xdotool", "key", "Return")


class TigerVnc(Viewer):
    options = ["-PreferredEncoding=ZRLE", "-NoJPEG"]

    def open(self):
        secret = os.path.join(self.work, "viewer-password")
        if not os.path.exists(secret):
            write_password(secret)
        # Without a menu key it does not paint a hint about that key over the picture.
        return self.display.start(
            "xtigervncviewer", "-passwd", secret, "-AutoSelect=0", "-RemoteResize=0", "-MenuKey=",
            *self.options, f"127.0.0.1::{self.server.port}",
        )  # fmt: skip


class TigerVncJpeg(TigerVnc):
    options = ["-PreferredEncoding=Tight", "-QualityLevel=3"]


class Gvnc(Viewer):
    def open(self):
        viewer = self.display.start("gvncviewer", f"127.0.0.1:{self.server.port - 5900}")
        self.process = viewer
        # It asks for the password in a window.
        dialog = wait_for("password dialog", 15, lambda: self.display.window("--name", "^Authentication"))
        self.display.run("xdotool", "windowfocus", "--sync", dialog, "type", PASSWORD)
        self.display.run("xdotool", "key", "Return")
        wait_for("end of the dialog", 5, lambda: not self.display.window("--name", "^Authentication"))
        return viewer


def vncdo(server, *actions):
    command = ["vncdo", "--server", f"127.0.0.1::{server.port}", "--password", PASSWORD, *actions]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    if done.returncode:
        raise AssertionError(f"vncdo failed with {done.returncode}: {done.stderr.decode(errors='replace')}")


def received(server, before, text=TEXT):
    """Waits for one more line in what the application received, and compares it."""
    wait_for("line from the keyboard", 5, lambda: server.read()[len(before) :].endswith("\n"))
    line = server.read()[len(before) :].rstrip("\n")
    if line != text:
        raise AssertionError(f"received {line!r} instead of {text!r}")
    return "typed"


def viewer_picture(kind, near=0):
    def case(server, display, work):
        with ExitStack() as stack:
            return kind(stack, server, display, work).check_picture(near)

    return case


def viewer_types(kind, keyboard, server_layout):
    def case(server, display, work):
        server.display.keyboard(server_layout)
        display.keyboard(*keyboard, *KEYS_ADDED)
        with ExitStack() as stack:
            viewer = kind(stack, server, display, work)
            viewer.check_picture(server.near)
            before = server.read()
            viewer.type(keyboard)
            return received(server, before)

    return case


def vncdo_picture(server, _display, work):
    from PIL import Image

    path = os.path.join(work, "capture.png")
    vncdo(server, "capture", path)
    screen, shown = server.display.picture(), Picture.from_image(Image.open(path))
    count, distance = screen.difference(shown)
    if count:
        screen.save("/tmp/viewer-expected.png")
        shown.save("/tmp/viewer-shown.png")
        raise AssertionError(f"{count} pixels differ by up to {distance}")
    return "equal"


def vncdo_types(server_layout):
    def case(server, _display, _work):
        server.display.keyboard(server_layout)
        before = server.read()
        vncdo(server, "move", "200", "200", "click", "1", "type", TEXT, "key", "enter")
        return received(server, before)

    return case


def cases(server):
    yield "TigerVNC, ZRLE: picture", viewer_picture(TigerVnc)
    # Lossy at first; deskinit sends it again without loss.
    yield "TigerVNC, JPEG: picture", viewer_picture(TigerVncJpeg, server.near)
    yield "gvncviewer: picture", viewer_picture(Gvnc, server.near)
    yield "vncdotool: picture", vncdo_picture
    for layout in ("us", "de"):
        for keyboard in KEYBOARDS:
            for kind in (TigerVnc, Gvnc):
                name = f"{kind.__name__}, {keyboard[0]} keyboard, {layout} on the server: characters"
                yield name, viewer_types(kind, keyboard, layout)
        yield f"vncdotool, {layout} on the server: characters", vncdo_types(layout)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--server", choices=["deskinit", "xtigervnc"], default="deskinit")
    arguments.add_argument("--deskinit", default="target/debug/deskinit")
    arguments.add_argument("--only", default="", help="run the cases whose name contains this")
    given = arguments.parse_args()
    passed = failed = 0
    with ExitStack() as stack:
        work = stack.enter_context(tempfile.TemporaryDirectory(prefix="deskinit-viewers-"))
        server = Xtigervnc(stack, work) if given.server == "xtigervnc" else Deskinit(stack, work, given.deskinit)
        display = PrivateDisplay(stack)
        for name, case in cases(server):
            if given.only not in name:
                continue
            try:
                print(f"ok      {name}: {case(server, display, work)}", flush=True)
                passed += 1
            except (AssertionError, subprocess.TimeoutExpired) as e:
                print(f"FAILED  {name}: {e}", flush=True)
                failed += 1
            except Exception:
                print(f"FAILED  {name}", flush=True)
                traceback.print_exc()
                failed += 1
        if failed:
            with open(server.log, encoding="utf-8", errors="replace") as log:
                print("the server's last words:", *log.readlines()[-20:], sep="\n        | ")
    print(f"viewers: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

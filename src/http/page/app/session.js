// One connection to the server: a websocket, noVNC on it, and what the page wants to know about both.
//
// Events: connect, picture (the first one), end { code, reason, problem, refused }, credentials { types }, and those of
// noVNC that are passed on: clipboard, bell, desktopname.

import RFB from '@novnc/novnc';
import { Watch } from './areas.js';

/** noVNC, with an ear on what it says only to its log. */
class Listening extends RFB {
    onUpdate = () => {};
    onPicture = () => {};
    problem = '';

    _framebufferUpdate() {
        const whole = super._framebufferUpdate();
        if (whole) {
            this.onUpdate();
        }
        return whole;
    }

    _handleDataRect() {
        const whole = super._handleDataRect();
        if (whole) {
            this.onPicture();
        }
        return whole;
    }

    _fail(details) {
        this.problem ||= String(details);
        return super._fail(details);
    }
}

export class Session extends EventTarget {
    /** Counted since the connection was opened. */
    counters = { updates: 0, received: 0, sent: 0 };
    size = null;
    started = performance.now();
    #rfb;
    #refused = null;
    #closed = { code: 0, reason: '' };
    #pictured = false;
    #keyAt = 0;
    #reactions = [];
    #watch = null;

    constructor(target, url, settings, credentials) {
        super();
        const socket = new WebSocket(url);
        // Before noVNC: the reason must be known when it says that it is disconnected.
        socket.addEventListener('close', ({ code, reason }) => {
            this.#closed = { code, reason };
        });
        socket.addEventListener('message', ({ data }) => {
            this.counters.received += data.byteLength;
        });
        const send = socket.send.bind(socket);
        socket.send = (data) => {
            this.#sending(data);
            send(data);
        };

        const rfb = new Listening(target, socket, { shared: settings.get('shared'), credentials });
        this.#rfb = rfb;
        rfb.background = 'transparent';
        rfb.onUpdate = () => this.#updated();
        rfb.onPicture = () => this.#picture();
        rfb.addEventListener('connect', () => this.#say('connect'));
        rfb.addEventListener('securityfailure', ({ detail }) => {
            this.#refused = detail.reason || 'the server refused the password';
        });
        rfb.addEventListener('credentialsrequired', ({ detail }) => this.#say('credentials', detail));
        rfb.addEventListener('serververification', () => {
            rfb.problem = 'the server wants its key to be verified (RA2), which this page does not do';
            rfb.disconnect();
        });
        rfb.addEventListener('disconnect', () => {
            this.#say('end', { ...this.#closed, problem: rfb.problem, refused: this.#refused });
        });
        for (const name of ['clipboard', 'bell', 'desktopname']) {
            rfb.addEventListener(name, ({ detail }) => this.#say(name, detail));
        }
        for (const name of ['quality', 'compression', 'view_only', 'view_clip', 'show_dot', 'resize']) {
            this.apply(name, settings.get(name));
        }
    }

    apply(name, value) {
        const rfb = this.#rfb;
        switch (name) {
            case 'quality': rfb.qualityLevel = value; break;
            case 'compression': rfb.compressionLevel = value; break;
            case 'view_only': rfb.viewOnly = value; break;
            case 'view_clip': rfb.clipViewport = value; rfb.dragViewport = value; break;
            case 'show_dot': rfb.showDotCursor = value; break;
            case 'resize':
                rfb.scaleViewport = value === 'scale';
                rfb.resizeSession = value === 'remote';
                break;
        }
    }

    /** Can it be told how areas are sent? */
    get watchable() { return Watch.possible(this.#rfb); }

    /** Calls `onArea` for every area that arrives from now on, until it is called with null. */
    watch(onArea) {
        this.#watch?.stop();
        this.#watch = onArea && this.watchable ? new Watch(this.#rfb, onArea) : null;
        this.#watch?.start();
    }

    /** Column and row of the remote screen at the upper left corner of what is visible of it. */
    get origin() {
        const display = this.#rfb._display;
        return typeof display?.absX === 'function' ? [display.absX(0), display.absY(0)] : [0, 0];
    }

    authenticate(credentials) { this.#rfb.sendCredentials(credentials); }
    disconnect() { this.#rfb.disconnect(); }
    focus() { this.#rfb.focus({ preventScroll: true }); }
    sendCtrlAltDel() { this.#rfb.sendCtrlAltDel(); }
    sendKey(keysym, code, down) { this.#rfb.sendKey(keysym, code, down); }
    paste(text) { this.#rfb.clipboardPasteFrom(text); }

    /** Milliseconds from a key to the next picture, the median of the last ones; null if there were none. */
    get reaction() {
        const sorted = [...this.#reactions].sort((a, b) => a - b);
        return sorted.length > 0 ? sorted[sorted.length >> 1] : null;
    }

    #say(name, detail) {
        this.dispatchEvent(new CustomEvent(name, { detail }));
    }

    #sending(data) {
        this.counters.sent += data.byteLength;
        // KeyEvent (RFC 6143 7.5.4) and QEMU's: the pointer often changes nothing, a key that goes down mostly does.
        const key = (data[0] === 4 && data[1] === 1) || (data[0] === 255 && data[1] === 0 && data[3] === 1);
        if (key && this.#pictured) {
            this.#keyAt = performance.now();
        }
    }

    #updated() {
        this.counters.updates += 1;
    }

    #picture() {
        const canvas = document.querySelector('#screen canvas');
        this.size = canvas && `${canvas.width} × ${canvas.height}`;
        if (!this.#pictured) {
            this.#pictured = true;
            this.#say('picture');
        }
        if (this.#keyAt > 0) {
            const took = performance.now() - this.#keyAt;
            this.#keyAt = 0;
            // What comes later than that was not caused by the key.
            if (took < 1000) {
                this.#reactions = [...this.#reactions.slice(-20), took];
            }
        }
    }
}

// Figures for those who want to know: measured here, in the browser, and only while the panel is open. And how areas
// are sent, drawn over the picture while that is wanted, panel or not.

import { Areas, KINDS } from './areas.js';

const $ = (id) => document.getElementById(id);
const EVERY = 1000;

export class Stats {
    #connection;
    #timer = 0;
    #before = null;
    #areas = null;

    constructor(connection) {
        this.#connection = connection;
        $('st-areas').addEventListener('change', () => this.#watch());
        connection.addEventListener('change', () => this.#watch());
    }

    set open(open) {
        clearInterval(this.#timer);
        this.#before = null;
        if (open) {
            this.#show();
            this.#timer = setInterval(() => this.#show(), EVERY);
        }
    }

    /** Switches the outlines as the box says, for the session that is there now. */
    #watch() {
        const { session } = this.#connection;
        $('st-areas-field').hidden = session !== null && !session.watchable;
        const on = $('st-areas').checked && session !== null && session.watchable;
        this.#areas?.remove();
        this.#areas = on ? new Areas($('screen')) : null;
        if (on) {
            this.#areas.origin = () => session.origin;
        }
        session?.watch(on ? (area) => this.#areas?.add(area) : null);
        $('st-legend').hidden = !on;
        this.#legend();
    }

    /** Each kind with its share of the pixels. */
    #legend() {
        if (this.#areas === null) {
            return;
        }
        const { pixels } = this.#areas;
        const all = Object.values(pixels).reduce((sum, n) => sum + n, 0);
        $('st-legend').replaceChildren(...Object.entries(KINDS).map(([kind, { label, colour }]) => {
            const item = document.createElement('li');
            const swatch = document.createElement('span');
            swatch.style.background = colour;
            swatch.setAttribute('aria-hidden', 'true');
            const share = document.createElement('span');
            share.textContent = all > 0 ? `${(pixels[kind] / all * 100).toFixed(0)} %` : '–';
            item.dataset.kind = kind;
            item.dataset.pixels = pixels[kind];
            item.append(swatch, label, share);
            return item;
        }));
    }

    #show() {
        this.#legend();
        const session = this.#connection.connected ? this.#connection.session : null;
        const now = performance.now();
        if (session === null) {
            for (const id of ['size', 'updates', 'in', 'out', 'trip', 'react', 'time']) {
                $(`st-${id}`).textContent = '–';
            }
            this.#before = null;
            return;
        }
        const { updates, received, sent } = session.counters;
        const before = this.#before;
        this.#before = { session, now, updates, received, sent };
        $('st-size').textContent = session.size ?? '–';
        $('st-time').textContent = duration((now - session.started) / 1000);
        $('st-react').textContent = session.reaction === null ? '–' : `${session.reaction.toFixed(0)} ms`;
        if (before?.session === session) {
            const seconds = (now - before.now) / 1000;
            $('st-updates').textContent = `${((updates - before.updates) / seconds).toFixed(0)} /s`;
            $('st-in').textContent = `${((received - before.received) / 1024 / seconds).toFixed(1)} KB/s`;
            $('st-out').textContent = `${((sent - before.sent) / 1024 / seconds).toFixed(1)} KB/s`;
        }
        this.#trip();
    }

    /** A small request beside the picture's connection: the way there and back, without what waits in the picture's. */
    async #trip() {
        const start = performance.now();
        try {
            await fetch('livez', { cache: 'no-store', method: 'HEAD', signal: AbortSignal.timeout(EVERY * 3) });
            $('st-trip').textContent = `${(performance.now() - start).toFixed(0)} ms`;
        } catch {
            $('st-trip').textContent = '–';
        }
    }
}

function duration(seconds) {
    const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
    return parts.map((part) => String(part).padStart(2, '0')).join(':');
}

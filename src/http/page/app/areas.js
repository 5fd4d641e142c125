// How the server sent each area of the picture, drawn over the picture: for whoever wants to know why it looks, or
// costs, what it does.
//
//   decoder of noVNC ── wrapped while this is on ──► kind of the area ──► outline that fades
//
// What noVNC's decoders draw with is looked at from outside; where it is not there, nothing is offered.

/** What an area can be, with its colour; in the order of the legend. */
export const KINDS = {
    copy: { label: 'Copied from elsewhere', colour: '#2f7df6' },
    fill: { label: 'One colour', colour: '#8a8f98' },
    palette: { label: 'Few colours', colour: '#1fa86b' },
    zlib: { label: 'Every pixel, exact', colour: '#e0a800' },
    jpeg: { label: 'Photo (JPEG)', colour: '#e5484d' },
    video: { label: 'Video (H.264)', colour: '#a259d9' },
    refresh: { label: 'Again, now exact', colour: '#12b5c9' },
};

const COPY = 1;
const TIGHT = 7;
const JPEG = 21;
const VIDEO = 50;
const TIGHT_PNG = -260;
/** What they draw says how they were sent; any other encoding is exact pixels, however it is packed. */
const TELLING = [TIGHT, TIGHT_PNG];
const DRAWING = ['fillRect', 'blitImage', 'imageRect'];
/** Milliseconds that an outline stays. */
const FADE = 900;
/** More outlines than this are not drawn. */
const MOST = 4000;
/** Side of the cells in which is remembered what is there with loss. */
const CELL = 32;

/** Tells for every area that a noVNC decodes how it was sent, from `start` to `stop`. */
export class Watch {
    #rfb;
    #onArea;
    #lossy = new Map();

    /** @param onArea called with { x, y, width, height, kind } */
    constructor(rfb, onArea) {
        this.#rfb = rfb;
        this.#onArea = onArea;
    }

    /** Has this noVNC what is needed? */
    static possible(rfb) {
        const decoders = Object.entries(rfb?._decoders ?? {});
        return decoders.some(([number]) => Number(number) === TIGHT)
            && decoders.every(([, decoder]) => typeof decoder.decodeRect === 'function')
            && DRAWING.every((name) => typeof rfb._display?.[name] === 'function');
    }

    start() {
        for (const [number, decoder] of Object.entries(this.#rfb._decoders)) {
            this.#wrap(Number(number), decoder);
        }
    }

    stop() {
        this.#lossy.clear();
        for (const decoder of Object.values(this.#rfb._decoders)) {
            // What lies below is the decoder's own again.
            delete decoder.decodeRect;
        }
    }

    #wrap(number, decoder) {
        const own = decoder.decodeRect;
        let kind = { [COPY]: 'copy', [JPEG]: 'jpeg', [VIDEO]: 'video' }[number] ?? 'zlib';
        let display = null;
        let spy = null;
        decoder.decodeRect = (x, y, width, height, sock, to, depth) => {
            if (TELLING.includes(number) && display !== to) {
                display = to;
                spy = spyOn(to, decoder, (seen) => { kind = seen; });
            }
            const whole = own.call(decoder, x, y, width, height, sock, spy ?? to, depth);
            if (whole && width > 0 && height > 0) {
                this.#onArea({ x, y, width, height, kind: this.#again(x, y, width, height, kind) });
            }
            return whole;
        };
    }

    /** `refresh` for what is exact where mostly photos were. */
    #again(x, y, width, height, kind) {
        const loss = kind === 'jpeg' || kind === 'video';
        let cells = 0;
        let lossy = 0;
        for (let row = Math.floor(y / CELL); row * CELL < y + height; row += 1) {
            for (let column = Math.floor(x / CELL); column * CELL < x + width; column += 1) {
                const cell = row * 4096 + column;
                cells += 1;
                lossy += this.#lossy.has(cell);
                if (loss) {
                    this.#lossy.set(cell, true);
                } else if (kind !== 'copy') {
                    this.#lossy.delete(cell);
                }
            }
        }
        return !loss && kind !== 'copy' && lossy * 2 > cells ? 'refresh' : kind;
    }
}

/** A display that says what is drawn on it. */
function spyOn(display, decoder, see) {
    const spy = Object.create(display);
    spy.fillRect = (...rest) => {
        see('fill');
        display.fillRect(...rest);
    };
    spy.blitImage = (...rest) => {
        // Set by the decoder while it has a palette.
        see(decoder._numColors > 0 ? 'palette' : 'zlib');
        display.blitImage(...rest);
    };
    spy.imageRect = (...rest) => {
        const [, , , , type, file] = rest;
        // The colour type of a PNG stands in its header, 3 for a palette.
        const exact = file[25] === 3 ? 'palette' : 'zlib';
        see(type === 'image/png' ? exact : 'jpeg');
        display.imageRect(...rest);
    };
    return spy;
}

/** The outlines over a picture, and how many pixels were of each kind. */
export class Areas {
    pixels = Object.fromEntries(Object.keys(KINDS).map((kind) => [kind, 0]));
    #screen;
    #canvas = document.createElement('canvas');
    #shown = [];
    #frame = 0;

    /** @param screen the element with noVNC's canvas in it */
    constructor(screen) {
        this.#screen = screen;
        this.#canvas.className = 'areas';
        this.#canvas.setAttribute('aria-hidden', 'true');
        document.body.append(this.#canvas);
    }

    remove() {
        cancelAnimationFrame(this.#frame);
        this.#canvas.remove();
    }

    add(area) {
        this.pixels[area.kind] += area.width * area.height;
        if (this.#shown.length < MOST) {
            this.#shown.push({ ...area, until: performance.now() + FADE });
        }
        this.#frame ||= requestAnimationFrame(() => this.#draw());
    }

    #draw() {
        this.#frame = 0;
        const now = performance.now();
        this.#shown = this.#shown.filter(({ until }) => until > now);
        const picture = this.#screen.querySelector('canvas:not(.areas)');
        const canvas = this.#canvas;
        const place = picture?.getBoundingClientRect() ?? new DOMRect();
        const ratio = window.devicePixelRatio;
        Object.assign(canvas.style, {
            left: `${place.x}px`, top: `${place.y}px`, width: `${place.width}px`, height: `${place.height}px`,
        });
        // Also wipes it.
        canvas.width = Math.round(place.width * ratio);
        canvas.height = Math.round(place.height * ratio);
        const context = canvas.getContext('2d');
        const scale = picture?.width > 0 ? canvas.width / picture.width : 1;
        const [left, top] = this.origin();
        for (const { x, y, width, height, kind, until } of this.#shown) {
            const [cx, cy, cw, ch] = [x - left, y - top, width, height].map((n) => n * scale);
            const strength = (until - now) / FADE;
            context.globalAlpha = strength * 0.25;
            context.fillStyle = KINDS[kind].colour;
            context.fillRect(cx, cy, cw, ch);
            context.globalAlpha = strength;
            context.strokeStyle = KINDS[kind].colour;
            context.strokeRect(cx + 0.5, cy + 0.5, cw - 1, ch - 1);
        }
        if (this.#shown.length > 0) {
            this.#frame = requestAnimationFrame(() => this.#draw());
        }
    }

    /** Column and row of the picture at the upper left corner of its canvas; a clipped picture can be moved. */
    origin = () => [0, 0];
}

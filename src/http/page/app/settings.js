// Settings of the page. The first that names one wins:
// mandatory.json, the page's address (#…, then ?…), this browser's memory, defaults.json, the table here.

const yes = (text) => !/^(0|no|off|false)$/i.test(text);
const between = (low, high) => (text) => {
    const number = Number(text);
    return text !== '' && Number.isInteger(number) && number >= low && number <= high ? number : undefined;
};
const among = (...words) => (text) => (words.includes(text) ? text : undefined);
const flag = (value, keep = true) => ({ value, keep, read: yes });

// value: built-in default; keep: remembered in this browser; read: from text, undefined if it is not valid.
const TABLE = {
    host: { value: '', read: String },
    port: { value: 0, read: between(1, 65535) },
    path: { value: 'websockify', read: String },
    encrypt: { value: null, read: yes },
    autoconnect: flag(true, false),
    reconnect: flag(true, false),
    reconnect_delay: { value: 1000, read: between(0, 600000) },
    resize: { value: 'remote', keep: true, read: among('off', 'scale', 'remote') },
    quality: { value: 6, keep: true, read: between(0, 9) },
    compression: { value: 2, keep: true, read: between(0, 9) },
    shared: flag(true, false),
    // Not remembered: somebody who cannot type, and does not know why, is lost.
    view_only: flag(false, false),
    view_clip: flag(false),
    show_dot: flag(false),
    bell: flag(true),
    keep_device_awake: flag(false),
};

const MEMORY = 'deskinit.';

export class Settings extends EventTarget {
    #values = new Map();
    #fixed = new Set();
    /** From the fragment of the address, never remembered; null if there was none. */
    password = null;

    static async load(location, history) {
        const [defaults, mandatory] = await Promise.all([operator('defaults.json'), operator('mandatory.json')]);
        return new Settings(defaults, mandatory, location, history);
    }

    constructor(defaults, mandatory, location, history) {
        super();
        const query = new URLSearchParams(location.search);
        const fragment = new URLSearchParams(location.hash.replace(/^#/, ''));
        if (fragment.has('password')) {
            this.password = fragment.get('password');
        }
        for (const [name, { value, keep, read }] of Object.entries(TABLE)) {
            const offered = [mandatory[name], fragment.get(name), query.get(name), keep ? recall(name) : null, defaults[name]];
            const valid = offered
                .filter((text) => text !== null && text !== undefined)
                .map((text) => read(String(text)))
                .filter((parsed) => parsed !== undefined);
            this.#values.set(name, valid.length > 0 ? valid[0] : value);
            if (mandatory[name] !== undefined) {
                this.#fixed.add(name);
            }
        }
        hidePassword(location, history, query, fragment);
    }

    get(name) {
        return this.#values.get(name);
    }

    /** The operator decided: not to be changed here. */
    isFixed(name) {
        return this.#fixed.has(name);
    }

    set(name, value) {
        const { keep, read } = TABLE[name];
        const parsed = read(String(value));
        if (this.isFixed(name) || parsed === undefined || parsed === this.get(name)) {
            return;
        }
        this.#values.set(name, parsed);
        if (keep) {
            try {
                localStorage.setItem(MEMORY + name, String(parsed));
            } catch {
                // Storage is off: it holds until the page is left.
            }
        }
        this.dispatchEvent(new CustomEvent('change', { detail: { name, value: parsed } }));
    }

    /** Where the websocket is: beside this page unless host or port say otherwise. */
    address(location) {
        const page = location.protocol === 'https:';
        const encrypt = this.get('encrypt') ?? page;
        const url = new URL(this.get('path'), this.elsewhere() ? new URL('/', location.href) : location.href);
        // The scheme first: setting a port drops the one that is the scheme's default.
        url.protocol = encrypt ? 'wss:' : 'ws:';
        // Whatever the path says: only host and port lead elsewhere, and the question for the password names those.
        url.hostname = this.get('host') || location.hostname;
        url.port = this.get('port') || (this.get('host') ? '' : location.port);
        url.hash = '';
        return url.href;
    }

    /** The server is not the one that this page came from. */
    elsewhere() {
        return this.get('host') !== '' || this.get('port') !== 0;
    }
}

async function operator(name) {
    try {
        const answer = await fetch(name, { cache: 'no-store' });
        const value = answer.ok ? await answer.json() : {};
        return value !== null && typeof value === 'object' ? value : {};
    } catch {
        return {};
    }
}

function recall(name) {
    try {
        return localStorage.getItem(MEMORY + name);
    } catch {
        return null;
    }
}

/** A password must not stay in the address bar; in the query it was on the wire already and is not taken at all. */
function hidePassword(location, history, query, fragment) {
    if (!fragment.has('password') && !query.has('password')) {
        return;
    }
    fragment.delete('password');
    query.delete('password');
    const rest = (mark, parameters) => (String(parameters) === '' ? '' : `${mark}${parameters}`);
    history.replaceState(history.state, '', location.pathname + rest('?', query) + rest('#', fragment));
}

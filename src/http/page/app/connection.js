// Connects, and connects again.
//
//   idle ──start──► connecting ──► connected ──► pictured
//    ▲                 │ ▲  ▲          │             │
//    │ stop            │ │  └─password─┤             │
//    └──── waiting ◄───┴─┼─────────────┴─────────────┘
//             │          │
//             └──────────┘ asks /readyz why, tries again with back-off

import { askCredentials, dismissLogin } from './login.js';
import { announce, overlay, showHint } from './overlay.js';
import { explain, hint } from './reason.js';
import { Session } from './session.js';

const GROWTH = 1.6;
const SLOWEST = 15000;
const QUICK = 300;
const QUICK_LOOKS = 8;
const HEALTH_TIME = 3000;
const HINT_EVERY = 3000;
const HINT_EVERY_WHEN_READY = 15000;

export class Connection extends EventTarget {
    /** The session that is connected or being connected, or null. */
    session = null;
    connected = false;
    #target;
    #settings;
    #credentials;
    #wanted = false;
    #asking = false;
    /** How the last session ended; null while nothing went wrong. */
    #last = null;
    #attempt = 0;
    /** Counts up whenever what is being waited for no longer matters. */
    #turn = 0;
    #timer = 0;

    constructor(target, settings) {
        super();
        this.#target = target;
        this.#settings = settings;
        this.#credentials = settings.password === null ? {} : { password: settings.password };
        settings.password = null;
        settings.addEventListener('change', ({ detail }) => this.session?.apply(detail.name, detail.value));
        // A laptop that wakes up, a network that is back: no reason to sit out the back-off.
        window.addEventListener('online', () => this.#hurry());
        document.addEventListener('visibilitychange', () => document.hidden || this.#hurry());
    }

    /** Connected, or trying to be. */
    get wanted() {
        return this.#wanted;
    }

    start() {
        this.#wanted = true;
        this.#attempt = 0;
        this.#last = null;
        this.#connect();
    }

    stop() {
        this.#wanted = false;
        this.#turn += 1;
        clearTimeout(this.#timer);
        dismissLogin();
        if (this.session) {
            this.session.disconnect();
        } else {
            this.idle();
        }
    }

    /** Says that there is no connection, and offers one. */
    idle() {
        overlay.show({ title: 'Not connected', action: { label: 'Connect', run: () => this.start() } });
        this.dispatchEvent(new Event('change'));
    }

    #connect() {
        this.#turn += 1;
        clearTimeout(this.#timer);
        // "Connect" pressed twice, or while a session is still being ended.
        const before = this.session;
        this.session = null;
        this.connected = false;
        before?.disconnect();
        // While it keeps failing, the reason stays to be read.
        if (this.#last === null) {
            overlay.show({ title: 'Connecting', busy: true });
        }
        let session;
        try {
            session = new Session(this.#target, this.#settings.address(location), this.#settings, this.#credentials);
        } catch (error) {
            this.#wanted = false;
            overlay.show({ title: 'This address cannot be connected to', detail: String(error?.message ?? error) });
            return;
        }
        this.session = session;
        // One that was replaced ends by and by: what it still says is not about this connection.
        const on = (name, act) => session.addEventListener(name, ({ detail }) => this.session === session && act(detail));
        on('credentials', ({ types }) => this.#ask(types, ''));
        on('connect', () => this.#connected(session));
        on('picture', () => {
            overlay.hide();
            announce('Connected');
            session.focus();
        });
        on('end', (end) => this.#ended(end));
        for (const name of ['clipboard', 'bell', 'desktopname']) {
            on(name, (detail) => this.dispatchEvent(new CustomEvent(name, { detail })));
        }
        this.dispatchEvent(new Event('change'));
    }

    #connected(session) {
        this.connected = true;
        this.#attempt = 0;
        this.#last = null;
        overlay.show({ title: 'Connected', detail: 'Waiting for the first picture …', busy: true });
        this.#watch(session);
        this.dispatchEvent(new Event('change'));
    }

    /** Asks for the password; the server may give up meanwhile, then the answer is for the next session. */
    async #ask(types, error) {
        if (this.#asking) {
            return;
        }
        this.#asking = true;
        const where = this.#settings.elsewhere() ? new URL(this.#settings.address(location)).host : '';
        const answer = await askCredentials({ types, where, error });
        this.#asking = false;
        if (!this.#wanted) {
            return;
        }
        if (answer === null) {
            this.stop();
            return;
        }
        this.#credentials = answer;
        if (this.session) {
            this.session.authenticate(answer);
        } else {
            this.#connect();
        }
    }

    #ended(end) {
        this.session = null;
        this.connected = false;
        this.#turn += 1;
        showHint('');
        this.dispatchEvent(new Event('change'));
        if (!this.#wanted) {
            this.idle();
            return;
        }
        if (this.#asking) {
            return;
        }
        if (end.refused !== null && this.#credentials.password !== undefined) {
            const types = this.#credentials.username === undefined ? ['password'] : ['username', 'password'];
            this.#credentials = {};
            overlay.show({ title: 'The password was refused' });
            this.#ask(types, `That was not it: ${end.refused}`);
            return;
        }
        // A server that said why before it went keeps the word while it is away.
        const reason = end.reason || end.refused || this.#last?.reason || '';
        this.#last = { ...end, reason };
        this.#wait(true);
    }

    /** Says why there is no connection, and tries again after a while. */
    async #wait(wasReachable) {
        this.#turn += 1;
        const turn = this.#turn;
        const { health, reachable } = await this.#health();
        if (turn !== this.#turn) {
            return;
        }
        if (health && !health.ready && health.message) {
            // Should it go away next, this is why.
            this.#last = { ...this.#last, reason: String(health.message) };
        }
        const again = this.#settings.get('reconnect');
        const why = explain(this.#last, health, reachable);
        const label = again ? 'Connect now' : 'Connect';
        overlay.show({ ...why, busy: again, action: { label, run: () => this.#connect() } });
        if (!again) {
            return;
        }
        if (reachable && !wasReachable) {
            this.#connect();
            return;
        }
        let pause = Math.min(SLOWEST, this.#settings.get('reconnect_delay') * GROWTH ** this.#attempt);
        if (!reachable && this.#attempt < QUICK_LOOKS) {
            // A server that is started again is back within a second; a look that finds nothing costs nothing.
            pause = Math.min(pause, QUICK);
        }
        this.#attempt += 1;
        this.#count(performance.now() + pause, () => (reachable ? this.#connect() : this.#wait(false)));
    }

    /** Shows the time that is left, and then does what was waited for. */
    #count(until, then) {
        const left = until - performance.now();
        if (left <= 0) {
            then();
            return;
        }
        // A fraction of a second is not worth a line that comes and goes.
        overlay.next(left < 500 ? '' : `Next attempt in ${Math.ceil(left / 1000)}\u00a0s`);
        this.#timer = setTimeout(() => this.#count(until, then), Math.min(left, 1000));
    }

    /** Ends a pause, if there is one. */
    #hurry() {
        if (this.#wanted && this.session === null && !this.#asking && this.#settings.get('reconnect')) {
            clearTimeout(this.#timer);
            this.#wait(false);
        }
    }

    async #health() {
        if (this.#settings.elsewhere()) {
            return { health: null, reachable: true };
        }
        try {
            const answer = await fetch('readyz', { cache: 'no-store', signal: AbortSignal.timeout(HEALTH_TIME) });
            const text = await answer.text();
            return { health: JSON.parse(text), reachable: true };
        } catch {
            // No answer, or one by a proxy that has none either.
            return { health: null, reachable: false };
        }
    }

    /** While connected: says at the bottom what the desktop still lacks. */
    async #watch(session) {
        while (this.session === session) {
            const { health } = document.hidden ? { health: null } : await this.#health();
            if (this.session !== session) {
                return;
            }
            showHint(hint(health));
            const pause = hint(health) === '' ? HINT_EVERY_WHEN_READY : HINT_EVERY;
            await new Promise((resolve) => { setTimeout(resolve, pause); });
        }
    }
}

// The bar: opens and closes itself and its panels; every control is a button that the keyboard reaches.

const $ = (id) => document.getElementById(id);

export class Toolbar {
    #connection;
    /** Called with the name of the panel that is open now, or null. */
    onPanel = () => {};

    constructor(connection) {
        this.#connection = connection;
        $('handle').addEventListener('click', () => this.toggle());
        for (const button of this.#panelButtons()) {
            button.setAttribute('aria-expanded', 'false');
            button.setAttribute('aria-controls', button.dataset.panel);
            button.addEventListener('click', () => this.#togglePanel(button));
        }
        $('tools').addEventListener('keydown', (event) => this.#arrows(event));
        $('bar').addEventListener('keydown', (event) => this.#escape(event));
        // Before noVNC gets it: it takes every key while the screen has the focus.
        window.addEventListener('keydown', (event) => this.#shortcut(event), true);
        // A press beside the bar puts the panel away; the press itself is for the remote screen.
        $('screen').addEventListener('pointerdown', () => this.#closePanels(), true);

        $('b-full').addEventListener('click', toggleFullScreen);
        $('b-full').hidden = !document.documentElement.requestFullscreen;
        document.addEventListener('fullscreenchange', () => {
            $('b-full').setAttribute('aria-pressed', String(document.fullscreenElement !== null));
        });
        $('b-power').addEventListener('click', () => (connection.wanted ? connection.stop() : connection.start()));
        connection.addEventListener('change', () => {
            const label = connection.wanted ? 'Disconnect' : 'Connect';
            $('b-power').title = label;
            $('b-power').setAttribute('aria-label', label);
            if (!connection.connected) {
                // What is said about the connection must not be hidden.
                this.#closePanels();
            }
        });
    }

    toggle(open = $('tools').hidden) {
        $('tools').hidden = !open;
        $('handle').setAttribute('aria-expanded', String(open));
        $('handle').classList.remove('news');
        if (!open) {
            this.#closePanels();
            this.#connection.session?.focus();
        }
    }

    /** Marks a panel that has something new. */
    news(panel) {
        const button = document.querySelector(`[data-panel="${panel}"]`);
        if (button.getAttribute('aria-expanded') !== 'true') {
            button.classList.add('news');
            $('handle').classList.toggle('news', $('tools').hidden);
        }
    }

    #panelButtons() {
        return document.querySelectorAll('#tools [data-panel]');
    }

    #togglePanel(chosen) {
        const open = chosen.getAttribute('aria-expanded') !== 'true';
        this.#closePanels();
        if (open) {
            chosen.setAttribute('aria-expanded', 'true');
            chosen.classList.remove('news');
            const panel = $(chosen.dataset.panel);
            panel.hidden = false;
            panel.querySelector('textarea, select, button, input')?.focus();
            this.onPanel(chosen.dataset.panel);
        }
    }

    #closePanels() {
        for (const button of this.#panelButtons()) {
            button.setAttribute('aria-expanded', 'false');
            $(button.dataset.panel).hidden = true;
        }
        this.onPanel(null);
    }

    #arrows(event) {
        const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (step === undefined) {
            return;
        }
        event.preventDefault();
        const buttons = [...$('tools').querySelectorAll('button:not([hidden])')];
        const at = buttons.indexOf(document.activeElement);
        buttons[(at + step + buttons.length) % buttons.length].focus();
    }

    #escape(event) {
        if (event.key !== 'Escape') {
            return;
        }
        const open = document.querySelector('#tools [aria-expanded="true"]');
        if (open) {
            this.#closePanels();
            open.focus();
        } else {
            this.toggle(false);
        }
    }

    #shortcut(event) {
        if (event.ctrlKey && event.altKey && event.shiftKey && event.code === 'KeyM') {
            event.preventDefault();
            event.stopImmediatePropagation();
            this.toggle(true);
            $('tools').querySelector('button:not([hidden])').focus();
        }
    }
}

async function toggleFullScreen() {
    if (document.fullscreenElement) {
        await document.exitFullscreen();
        return;
    }
    try {
        await document.documentElement.requestFullscreen({ navigationUI: 'hide' });
        // Alt-Tab, Super, Esc go to the remote screen then, where the browser can do that.
        await navigator.keyboard?.lock?.();
    } catch {
        // The browser refused; it has said why to the user.
    }
}

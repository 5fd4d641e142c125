// The clipboard, both ways: by itself where the browser allows it, by the panel everywhere.

const $ = (id) => document.getElementById(id);
const QUIET = 300;

export function clipboardPanel(connection, settings, news) {
    const field = $('clip-text');
    const state = $('clip-state');
    const device = navigator.clipboard;
    // What both sides have: sent back and forth it would never end.
    let shared = '';
    let timer = 0;

    $('clip-read').hidden = !device?.readText;
    $('clip-write').hidden = !device?.writeText;
    if (!device) {
        state.textContent = 'The browser gives its clipboard only to pages that came by HTTPS (or from this machine): copy and paste in the field above.';
    }

    const send = (text) => {
        if (text !== shared && connection.connected && !settings.get('view_only')) {
            shared = text;
            connection.session.paste(text);
        }
    };
    const say = (text) => { state.textContent = text; };

    connection.addEventListener('clipboard', ({ detail }) => {
        shared = detail.text;
        field.value = detail.text;
        if (device?.writeText && document.hasFocus()) {
            device.writeText(detail.text).then(() => say('Copied to this device.'), () => news());
        } else {
            news();
        }
    });

    field.addEventListener('input', () => {
        clearTimeout(timer);
        timer = setTimeout(() => send(field.value), QUIET);
    });
    field.addEventListener('change', () => {
        clearTimeout(timer);
        send(field.value);
    });

    const read = async () => {
        const text = await device.readText();
        if (text !== '') {
            field.value = text;
            send(text);
        }
    };
    $('clip-read').addEventListener('click', () => {
        read().then(() => say('Taken: paste it in the remote screen.'), () => say('The browser did not give it: paste it in the field above.'));
    });
    $('clip-write').addEventListener('click', () => {
        device.writeText(field.value).then(() => say('Copied to this device.'), () => say('The browser did not take it: copy it from the field above.'));
    });

    // Coming back from another window: what was copied there is wanted here. Only where the user has agreed before,
    // since some browsers ask every time.
    const fetchIfAllowed = async () => {
        if (!connection.connected || !device?.readText || !document.hasFocus()) {
            return;
        }
        try {
            const { state: permission } = await navigator.permissions.query({ name: 'clipboard-read' });
            if (permission === 'granted') {
                await read();
            }
        } catch {
            // Not known to this browser, or nothing there that is text.
        }
    };
    window.addEventListener('focus', fetchIfAllowed);
    connection.addEventListener('change', () => {
        shared = '';
        fetchIfAllowed();
    });
}

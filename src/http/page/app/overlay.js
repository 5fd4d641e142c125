// What is shown where there is no picture: never a silent black screen.

const $ = (id) => document.getElementById(id);

export const overlay = {
    /** @param text { title, detail, parts, busy, action: { label, run } }; all but title may be left out */
    show({ title, detail = '', parts = [], busy = false, action = null }) {
        $('overlay').hidden = false;
        $('ov-busy').hidden = !busy;
        $('ov-title').textContent = title;
        $('ov-detail').textContent = detail;
        $('ov-parts').replaceChildren(...parts.map(line));
        $('ov-next').textContent = '';
        const button = $('ov-action');
        button.hidden = action === null;
        button.textContent = action?.label ?? '';
        button.onclick = action?.run ?? null;
        announce(title);
    },

    /** A line below the rest, for a countdown that nobody wants to hear read out. */
    next(text) {
        $('ov-next').textContent = text;
    },

    hide() {
        $('overlay').hidden = true;
    },
};

function line({ name, ok, detail }) {
    const item = document.createElement('li');
    item.className = ok ? 'there' : 'missing';
    const mark = span(ok ? '✓' : '✗', 'mark');
    mark.setAttribute('role', 'img');
    mark.setAttribute('aria-label', ok ? 'there:' : 'missing:');
    item.append(mark, span(name), span(detail));
    return item;
}

function span(text, name = '') {
    const element = document.createElement('span');
    element.className = name;
    element.textContent = text;
    return element;
}

/** Tells a screen reader; the same words in a row are said once. */
export function announce(text) {
    const place = $('announce');
    if (place.textContent !== text) {
        place.textContent = text;
    }
}

/** A line at the bottom, beside the picture; empty takes it away. */
export function showHint(text) {
    const place = $('hint');
    place.hidden = text === '';
    if (place.textContent !== text) {
        place.textContent = text;
    }
}

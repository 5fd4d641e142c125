// Keys that a device lacks or that its browser keeps for itself.

// X keysyms (X11/keysymdef.h) by the name of the key on a US keyboard.
const KEYSYMS = {
    ControlLeft: 0xffe3, AltLeft: 0xffe9, AltRight: 0xfe03, ShiftLeft: 0xffe1, MetaLeft: 0xffeb,
    Escape: 0xff1b, Tab: 0xff09, Delete: 0xffff, Enter: 0xff0d, Backspace: 0xff08,
    ArrowLeft: 0xff51, ArrowUp: 0xff52, ArrowRight: 0xff53, ArrowDown: 0xff54,
    Home: 0xff50, End: 0xff57, PageUp: 0xff55, PageDown: 0xff56,
    F1: 0xffbe, F2: 0xffbf, F3: 0xffc0, F4: 0xffc1, F5: 0xffc2, F6: 0xffc3,
    F7: 0xffc4, F8: 0xffc5, F9: 0xffc6, F10: 0xffc7, F11: 0xffc8, F12: 0xffc9,
};

export const keysymOf = (key) => KEYSYMS[key];

/** The keysym of a character: Latin-1 is itself, the rest is Unicode with the 24th bit (X11 protocol, appendix A). */
export function keysymOfCharacter(character) {
    const point = character.codePointAt(0);
    if (point === 0x0a) {
        return KEYSYMS.Enter;
    }
    if (point === 0x09) {
        return KEYSYMS.Tab;
    }
    const latin = (point >= 0x20 && point <= 0x7e) || (point >= 0xa0 && point <= 0xff);
    return latin ? point : 0x01000000 + point;
}

/** The panel with modifiers that stay down, and single keys. */
export function keysPanel(panel, connection) {
    const held = panel.querySelectorAll('[data-hold]');
    const hold = (button, down) => {
        button.setAttribute('aria-pressed', String(down));
        connection.session?.sendKey(KEYSYMS[button.dataset.hold], button.dataset.hold, down);
    };
    for (const button of held) {
        button.addEventListener('click', () => hold(button, button.getAttribute('aria-pressed') !== 'true'));
    }
    for (const button of panel.querySelectorAll('[data-press]')) {
        const key = button.dataset.press;
        button.addEventListener('click', () => connection.session?.sendKey(KEYSYMS[key], key));
    }
    // Pressed by mouse or finger, the next key is for the remote screen: the focus stays with the phone's keyboard or
    // goes there. Who works by keyboard stays in the panel.
    panel.addEventListener('pointerdown', (event) => event.target.closest('button') && event.preventDefault());
    panel.addEventListener('click', (event) => {
        if (event.detail > 0 && document.activeElement?.id !== 'typing') {
            connection.session?.focus();
        }
    });
    panel.querySelector('#cad').addEventListener('click', () => connection.session?.sendCtrlAltDel());
    // The server released everything when the session ended.
    connection.addEventListener('change', () => {
        if (!connection.connected) {
            held.forEach((button) => button.setAttribute('aria-pressed', 'false'));
        }
    });
}

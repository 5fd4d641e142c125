// The keyboard of touch devices: it comes when a text field has the focus, so there is a hidden one. What changes in
// it (also by word completion, correction, dictation) is sent as key presses.

import { keysymOf, keysymOfCharacter } from './keys.js';

// There is always something to delete; phones report no key for it, only that text is gone.
const FILLER = '_'.repeat(64);
const LONGEST = 4096;

/** What must be typed to get from `before` to `after` at the end of a text: how many deletions, then which characters. */
export function difference(before, after) {
    const from = Array.from(before);
    const to = Array.from(after);
    let same = 0;
    while (same < from.length && same < to.length && from[same] === to[same]) {
        same += 1;
    }
    return { deletions: from.length - same, characters: to.slice(same) };
}

export function touchKeyboard(button, field, connection) {
    let before = FILLER;
    const type = (keysym, code) => connection.session?.sendKey(keysym, code);
    const reset = () => {
        field.value = FILLER;
        before = FILLER;
        field.setSelectionRange(FILLER.length, FILLER.length);
    };
    reset();

    button.hidden = navigator.maxTouchPoints === 0 && !matchMedia('(any-pointer: coarse)').matches;
    // The focus must not leave the field before the click is seen, or the keyboard goes and comes back.
    button.addEventListener('pointerdown', (event) => event.preventDefault());
    button.addEventListener('click', () => {
        if (document.activeElement === field) {
            field.blur();
            connection.session?.focus();
        } else {
            reset();
            field.focus({ preventScroll: true });
        }
    });
    field.addEventListener('focus', () => button.setAttribute('aria-pressed', 'true'));
    field.addEventListener('blur', () => button.setAttribute('aria-pressed', 'false'));

    field.addEventListener('keydown', (event) => {
        const keysym = keysymOf(event.key);
        if (keysym !== undefined && !event.isComposing) {
            event.preventDefault();
            type(keysym, event.key);
            if (event.key === 'Enter') {
                reset();
            }
        }
    });
    field.addEventListener('input', (event) => {
        const { deletions, characters } = difference(before, field.value);
        before = field.value;
        for (let count = 0; count < deletions; count += 1) {
            type(keysymOf('Backspace'), 'Backspace');
        }
        for (const character of characters) {
            type(keysymOfCharacter(character));
        }
        if (!event.isComposing && (before.length < FILLER.length / 2 || before.length > LONGEST)) {
            reset();
        }
    });
}

// What the device itself is asked to do: a sound for the bell, to stay awake, the title of the window.

import { plainName } from './reason.js';

/** A short, soft tone. Browsers allow it only after the user has done something on the page. */
export function bell() {
    try {
        const audio = new AudioContext();
        const tone = audio.createOscillator();
        const volume = audio.createGain();
        tone.frequency.value = 660;
        volume.gain.setValueAtTime(0.12, audio.currentTime);
        volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.2);
        tone.connect(volume).connect(audio.destination);
        tone.onended = () => audio.close();
        tone.start();
        tone.stop(audio.currentTime + 0.2);
    } catch {
        // No sound on this device.
    }
}

/** Keeps the device awake while connected, if that is wanted; browsers take the lock away from hidden pages. */
export function stayAwake(connection, settings) {
    let lock = null;
    const update = async () => {
        const wanted = settings.get('keep_device_awake') && connection.connected && !document.hidden;
        try {
            if (wanted && (lock === null || lock.released)) {
                lock = await navigator.wakeLock?.request('screen') ?? null;
            } else if (!wanted && lock !== null) {
                await lock.release();
                lock = null;
            }
        } catch {
            // Refused, as when the battery is low.
        }
    };
    connection.addEventListener('change', update);
    settings.addEventListener('change', update);
    document.addEventListener('visibilitychange', update);
}

/** The name of the desktop is the title, as text without any control characters. */
export function titleOf(connection) {
    let name = 'Remote desktop';
    const show = () => {
        document.title = connection.connected ? name : `(not connected) ${name}`;
    };
    connection.addEventListener('desktopname', ({ detail }) => {
        name = plainName(detail.name) || 'Remote desktop';
        show();
    });
    connection.addEventListener('change', show);
}

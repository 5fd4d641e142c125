// Why there is no picture, in words. Pure: from what is known to what is shown.

const clean = (text) => String(text ?? '').replace(/\p{C}+/gu, ' ').trim().slice(0, 300);
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

const CODES = {
    1001: 'the server is going away',
    1002: 'the server found an error in the connection',
    1006: 'the connection was lost',
    1008: 'the server refused the connection',
    1009: 'a message was too long for the server',
    1011: 'the server had an error',
    1012: 'the server restarts',
    1013: 'the server is too busy',
};

/** A name from the server, fit for a title: no control, format or direction characters. */
export const plainName = (name) => clean(name).slice(0, 80);

/**
 * @param end what a session said when it ended, or null if none was tried
 * @param health the body of /readyz, null if the server gave none
 * @param reachable the server answered HTTP at all
 * @returns { title, detail, parts } of which detail and parts may be empty
 */
export function explain(end, health, reachable) {
    const parts = (health?.parts ?? []).map(({ name, ok, detail }) => ({ name: clean(name), ok: ok === true, detail: clean(detail) }));
    const told = clean(end?.reason);
    const state = clean(health?.message) || missing(parts);
    const problem = clean(end?.problem).replace(/^Connection closed \(code: \d+\)$/, '');
    const lost = CODES[end?.code] ?? 'the connection ended';

    if (!reachable) {
        const title = sentence(told || 'the server does not answer');
        return { title, detail: told ? 'The server does not answer any more.' : '', parts: [] };
    }
    const causes = [health && !health.ready ? clean(health.message) : '', told, health && !health.ready ? state : '', problem, end ? lost : ''].filter((cause) => cause !== '');
    const unique = causes.filter((cause, index) => causes.findIndex((other) => other.toLowerCase() === cause.toLowerCase()) === index);
    const [title = 'Not connected', detail = ''] = unique;
    const unhappy = health && !health.ready ? parts : [];
    return { title: sentence(title), detail: detail && `${sentence(detail)}.`.replace(/([.!?])\.$/, '$1'), parts: unhappy };
}

/** One line on a desktop that is connected but not ready: what is not there yet; empty if all is. */
export function hint(health) {
    if (!health || health.ready) {
        return '';
    }
    const parts = (health.parts ?? []).map(({ name, ok, detail }) => ({ name: clean(name), ok: ok === true, detail: clean(detail) }));
    return sentence(clean(health.message) || missing(parts));
}

function missing(parts) {
    const first = parts.find((part) => !part.ok);
    return first ? `waiting for the ${first.name}${first.detail ? `: ${first.detail}` : ''}` : '';
}

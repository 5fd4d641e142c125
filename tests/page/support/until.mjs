// Waiting for events with a bound.

/** Calls `look` until it returns something true, and returns that; fails with `what` when the time is over. */
export async function until(what, look, milliseconds = 10000) {
    const end = Date.now() + milliseconds;
    let error;
    do {
        try {
            const found = await look();
            if (found) {
                return found;
            }
            error = undefined;
        } catch (caught) {
            error = caught;
        }
        await new Promise((resolve) => { setTimeout(resolve, 50); });
    } while (Date.now() < end);
    throw new Error(`not within ${milliseconds} ms: ${what}${error ? ` (${error.message})` : ''}`);
}

// noVNC decodes every encoding, also those that it does not prefer itself.

import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { openBrowser } from './support/browser.mjs';
import { PASSWORD, startDesktop } from './support/desktop.mjs';
import { until } from './support/until.mjs';

const screen = join(tmpdir(), `deskinit-encodings-${process.pid}.rgb`);

/** In the page: puts these numbers first in every SetEncodings (RFC 6143, 7.5.2). */
function prefer(wanted) {
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (data) {
        const bytes = new Uint8Array(data.slice(0));
        const view = new DataView(bytes.buffer);
        if (bytes[0] === 2 && bytes.length >= 4 && bytes.length === 4 + 4 * view.getUint16(2)) {
            const listed = Array.from({ length: view.getUint16(2) }, (_, n) => view.getInt32(4 + 4 * n));
            const others = listed.filter((number) => !wanted.includes(number));
            [...wanted, ...others].forEach((number, n) => view.setInt32(4 + 4 * n, number));
        }
        send.call(this, bytes);
    };
}

describe('a screen with text and a photo', () => {
    let desk;
    let photo;

    before(async () => {
        desk = await startDesktop(['xterm', '-geometry', '60x20+10+10', '-e', 'ls -la /etc /usr/bin; cat']);
        photo = desk.start('display', ['-geometry', '+420+120', '-seed', '7', '-size', '320x300', 'plasma:fractal']);
        await until('the photo', async () => (await desk.on('xwininfo', ['-root', '-tree'])).includes('320x300'));
    });

    after(async () => {
        photo?.kill('SIGKILL');
        await desk?.stop();
        await rm(screen, { force: true });
    });

    for (const [name, numbers, lossy] of [
        ['Raw', [0], false], ['RRE', [2], false], ['Hextile', [5], false], ['Zlib', [6], false], ['ZRLE', [16], false],
        ['Tight', [7], true], ['TightPNG', [-260], true], ['JPEG beside RRE', [21, 2], true], ['JPEG beside Tight', [21, 7], true],
    ]) {
        test(name, async () => {
            const browser = await openBrowser();
            try {
                const { page } = browser;
                await page.addInitScript(prefer, numbers);
                await page.goto(`${desk.url}?resize=off#password=${PASSWORD}`);
                await page.waitForFunction(() => document.getElementById('overlay').hidden, null, { timeout: 15000 });
                const client = async () => (await (await fetch(new URL('api/status', desk.url))).json()).clients[0];
                await until('figures', async () => (await client())?.ways?.full.rectangles > 0);
                const { encoding, jpeg_rectangles: beside, ways } = await client();
                assert.equal(beside, numbers[0] === 21);
                assert.equal(encoding, name.split(' ').at(-1));
                assert.equal(ways.jpeg.rectangles > 0, lossy, JSON.stringify(ways));
                await until('nothing lossy', async () => (await client()).lossy_pixels === 0);

                await desk.on('import', ['-silent', '-window', 'root', '-depth', '8', screen]);
                const wanted = (await readFile(screen)).toString('base64');
                const same = (rgb) => {
                    const canvas = document.querySelector('#screen canvas');
                    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
                    const text = atob(rgb);
                    const differs = data.findIndex((value, at) => at % 4 < 3 && value !== text.charCodeAt((at >> 2) * 3 + at % 4));
                    return differs === -1 && text.length === canvas.width * canvas.height * 3;
                };
                await until('the screen, byte for byte', () => page.evaluate(same, wanted));
                assert.deepEqual(browser.complaints, []);
            } finally {
                await browser.close();
            }
            await until('nobody there', async () => (await (await fetch(new URL('api/status', desk.url))).json()).viewers === 0);
        });
    }
});

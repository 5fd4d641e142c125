// Video in Chromium, by a program that was built with the feature h264; scripts/test says which.

import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { openBrowser } from './support/browser.mjs';
import { PASSWORD, startDesktop } from './support/desktop.mjs';
import { until } from './support/until.mjs';

test('what keeps moving comes as video, and exact when it stands still', async () => {
    const desk = await startDesktop(['xterm', '-geometry', '10x2+0+0', '-e', 'cat']);
    const browser = await openBrowser();
    const film = desk.start('ico', ['-faces', '-size', '560x460', '-delta', '0,0', '-geometry', '580x480+20+20', '-sleep', '0.02']);
    try {
        const { page } = browser;
        await page.goto(`${desk.url}?resize=off#password=${PASSWORD}`);
        await page.waitForFunction(() => document.getElementById('overlay').hidden, null, { timeout: 15000 });
        const client = async () => (await (await fetch(new URL('api/status', desk.url))).json()).clients[0];
        const videos = async () => (await client())?.ways?.h264.rectangles ?? 0;
        await until('pictures of a video', async () => (await videos()) > 10, 20000);
        // The page shows them: a fence behind each is answered, or the server would have given it up.
        const before = await videos();
        await until('many more', async () => (await videos()) > before + 60, 20000);
        const { bytes_in_flight: behind, window_bytes: window } = await client();
        assert.ok(behind <= window * 2, `${behind} of ${window} bytes`);

        film.kill('SIGSTOP');
        await until('nothing lossy', async () => (await client()).lossy_pixels === 0);
        const shown = () => page.evaluate(() => {
            const canvas = document.querySelector('#screen canvas');
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            return [...data].filter((value, at) => at % 4 < 3);
        });
        const screen = join(tmpdir(), `deskinit-screen-${process.pid}.rgb`);
        try {
            await desk.on('import', ['-silent', '-window', 'root', '-depth', '8', screen]);
            const wanted = await readFile(screen);
            await until('the screen, byte for byte', async () => Buffer.from(await shown()).equals(wanted));
        } finally {
            await rm(screen, { force: true });
        }
    } finally {
        film.kill('SIGKILL');
        await browser.close();
        await desk.stop();
    }
    assert.deepEqual(browser.complaints, []);
});

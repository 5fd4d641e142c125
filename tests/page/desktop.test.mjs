// The page in Chromium, on a desktop that the real program runs.

import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { openBrowser } from './support/browser.mjs';
import { PASSWORD, startDesktop } from './support/desktop.mjs';
import { until } from './support/until.mjs';

const TEXT = 'Grüße, 你好 🙂';

/** Opens the page at `desk` and waits for its first picture. */
async function openPage(browser, desk, { query = '', password = PASSWORD } = {}) {
    const { page } = browser;
    await page.goto('about:blank');
    await page.goto(`${desk.url}${query}#password=${password}`);
    await page.waitForFunction(() => document.getElementById('overlay').hidden, null, { timeout: 15000 });
    return page;
}

/** How many colours a sample of the remote screen has. */
const colours = (page) => page.evaluate(() => {
    const canvas = document.querySelector('#screen canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set();
    for (let at = 0; at < data.length; at += 4 * 7) {
        seen.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
    }
    return seen.size;
});

const openPanel = async (page, name) => {
    if (await page.locator('#tools').isHidden()) {
        await page.click('#handle');
    }
    if (await page.locator(`#${name}`).isHidden()) {
        await page.click(`[data-panel=${name}]`);
    }
};

describe('a desktop with a terminal', () => {
    let desk;
    let browser;
    let typed;

    before(async () => {
        typed = join(process.env.TMPDIR ?? '/tmp', `deskinit-typed-${process.pid}`);
        desk = await startDesktop(['xterm', '-geometry', '80x24+20+20', '-e', `cat > ${typed}`], { LANG: 'C.UTF-8' });
        browser = await openBrowser();
        await browser.context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: new URL(desk.url).origin });
    });

    after(async () => {
        const complaints = browser?.complaints ?? [];
        await browser?.close();
        await desk?.stop();
        await rm(typed, { force: true });
        assert.deepEqual(complaints, []);
    });

    test('shows the screen, and hides the password', async () => {
        const page = await openPage(browser, desk);
        await until('a picture with a window', async () => (await colours(page)) > 3);
        assert.equal(new URL(page.url()).hash, '');
        await until('the title', async () => (await page.title()) === 'Test desk');
    });

    test('what is typed arrives in the terminal', async () => {
        const page = await openPage(browser, desk);
        await page.mouse.click(300, 200);
        await page.keyboard.type('Hello, World! {[~|@]}\n', { delay: 10 });
        await until('the line in the file', async () => (await readFile(typed, 'utf8')).includes('Hello, World! {[~|@]}\n'));
    });

    test('the clipboard goes both ways', async () => {
        const page = await openPage(browser, desk);
        await openPanel(page, 'clipboard');
        await page.fill('#clip-text', TEXT);
        const paste = () => desk.on('xclip', ['-o', '-selection', 'clipboard', '-t', 'UTF8_STRING']);
        await until('the text in X', async () => (await paste()) === TEXT);

        const back = `${TEXT} zurück`;
        const owner = desk.start('xclip', ['-quiet', '-i', '-selection', 'clipboard'], back);
        try {
            await until('the text in the panel', async () => (await page.inputValue('#clip-text')) === back);
            await until('the text on the device', async () => (await page.evaluate(() => navigator.clipboard.readText())) === back);
        } finally {
            owner.kill();
        }
    });

    test('the screen follows the window', async () => {
        const page = await openPage(browser, desk);
        for (const [width, height] of [[900, 640], [1200, 800], [1000, 700]]) {
            await page.setViewportSize({ width, height });
            await until(`${width}x${height}`, async () => (await desk.on('xrandr', [])).includes(`current ${width} x ${height}`));
            await until('the picture of that size', () => page.evaluate(
                ([w, h]) => document.querySelector('#screen canvas')?.width === w && document.querySelector('#screen canvas').height === h,
                [width, height],
            ));
        }
    });

    test('a wrong password is said to be wrong, the right one opens', async () => {
        const { page } = browser;
        await page.goto('about:blank');
        await page.goto(`${desk.url}#password=wrong`);
        await page.waitForSelector('#login[open]');
        await until('the reason', async () => (await page.textContent('#login-error')).includes('That was not it'));
        await page.fill('#login-password', PASSWORD);
        await page.keyboard.press('Enter');
        await page.waitForFunction(() => document.getElementById('overlay').hidden);
    });

    test('view only types nothing', async () => {
        const page = await openPage(browser, desk, { query: '?view_only=1' });
        await page.mouse.click(300, 200);
        await page.keyboard.type('must not arrive\n');
        const again = await openPage(browser, desk);
        await again.mouse.click(300, 200);
        await again.keyboard.type('must arrive\n', { delay: 10 });
        await until('the second line', async () => (await readFile(typed, 'utf8')).includes('must arrive\n'));
        assert.ok(!(await readFile(typed, 'utf8')).includes('must not'));
    });

    test('a display server that dies is back, and so is the page', async () => {
        const page = await openPage(browser, desk);
        const killed = await desk.server();
        assert.ok(killed > 0);
        process.kill(killed, 'SIGKILL');
        await page.waitForFunction(() => !document.getElementById('overlay').hidden);
        const title = await page.textContent('#ov-title');
        assert.notEqual(title.trim(), '');
        await page.waitForFunction(() => document.getElementById('overlay').hidden, null, { timeout: 15000 });
        assert.notEqual(await desk.server(), killed);
    });

    test('a scaled picture leaves the screen as it is', async () => {
        const size = async () => /current \d+ x \d+/.exec(await desk.on('xrandr', []))[0];
        const page = await openPage(browser, desk);
        const before = await size();
        await openPanel(page, 'settings');
        await page.selectOption('#s-resize', 'scale');
        await page.setViewportSize({ width: 500, height: 350 });
        await until('a picture of half the size', () => page.evaluate(() => {
            const canvas = document.querySelector('#screen canvas');
            return canvas.width === 1000 && Math.round(canvas.getBoundingClientRect().width) === 500;
        }));
        assert.equal(await size(), before);
        await page.selectOption('#s-resize', 'remote');
        await page.setViewportSize({ width: 1000, height: 700 });
    });

    test('a modifier that is held changes what is typed next', async () => {
        const page = await openPage(browser, desk);
        await page.mouse.click(300, 200);
        await page.keyboard.type('held', { delay: 10 });
        await openPanel(page, 'keys');
        await page.click('[data-hold=ControlLeft]');
        assert.equal(await page.getAttribute('[data-hold=ControlLeft]', 'aria-pressed'), 'true');
        // Ctrl-J is a line's end to a terminal; the press went to the screen without another click.
        await page.keyboard.press('j');
        await page.click('[data-hold=ControlLeft]');
        await page.keyboard.type('released\n', { delay: 10 });
        await until('both lines', async () => (await readFile(typed, 'utf8')).includes('held\nreleased\n'));
    });

    test('the keyboard of a phone types', async () => {
        const phone = await openBrowser({ viewport: { width: 400, height: 700 }, hasTouch: true, isMobile: true });
        try {
            const page = await openPage(phone, desk);
            await page.tap('#handle');
            await page.tap('#b-keyboard');
            assert.equal(await page.getAttribute('#b-keyboard', 'aria-pressed'), 'true');
            await page.keyboard.insertText('phone teh');
            await page.evaluate(() => {
                // A correction, as keyboards of phones make them: the end of the text is another.
                const field = document.getElementById('typing');
                field.value = field.value.replace(/teh$/, 'the');
                field.dispatchEvent(new InputEvent('input'));
            });
            await page.keyboard.press('Enter');
            await until('the line in the file', async () => (await readFile(typed, 'utf8')).includes('phone the\n'));
        } finally {
            await phone.close();
        }
    });

    test('figures are shown', async () => {
        const page = await openPage(browser, desk);
        await openPanel(page, 'stats');
        await until('the size', async () => /\d+ × \d+/.test(await page.textContent('#st-size')));
        await until('the round trip', async () => /\d+ ms/.test(await page.textContent('#st-trip')));
        await until('the rate', async () => /KB\/s/.test(await page.textContent('#st-in')));
    });

    test('areas are outlined by how they are sent', async () => {
        const page = await openPage(browser, desk);
        await openPanel(page, 'stats');
        assert.ok(await page.locator('#st-legend').isHidden());
        assert.equal(await page.locator('canvas.areas').count(), 0);
        const box = page.getByLabel('Outline areas by how they are sent');
        await box.check();
        assert.equal(await page.locator('#st-legend li').count(), 7);
        // A terminal that is typed into is few colours; nothing in it is a photo.
        const outlined = () => page.evaluate(() => {
            const canvas = document.querySelector('canvas.areas');
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width || 1, canvas.height || 1);
            return data.some((value) => value > 0);
        });
        const pixels = (kind) => page.locator(`#st-legend [data-kind=${kind}]`).getAttribute('data-pixels').then(Number);
        // In the terminal, beside the panel.
        await page.mouse.click(450, 200);
        await until('outlines of what is typed', async () => {
            await page.keyboard.type('areas\n');
            return outlined();
        });
        await openPanel(page, 'stats');
        await until('pixels of text', async () => (await pixels('palette')) + (await pixels('fill')) > 0);
        assert.equal(await pixels('jpeg'), 0);
        assert.equal(await pixels('video'), 0);
        // Off again: not a trace of it, and the picture still comes.
        await box.uncheck();
        assert.equal(await page.locator('canvas.areas').count(), 0);
        assert.ok(await page.locator('#st-legend').isHidden());
        const again = await openPage(browser, desk);
        await until('a picture', async () => (await colours(again)) > 3);
    });

    test('the keyboard reaches every control, and each has a name', async () => {
        const page = await openPage(browser, desk);
        await page.keyboard.press('Control+Alt+Shift+KeyM');
        const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label'));
        assert.equal(await focused(), 'Special keys');
        await page.keyboard.press('ArrowDown');
        assert.equal(await focused(), 'Clipboard');
        await page.keyboard.press('Enter');
        assert.ok(await page.locator('#clipboard').isVisible());
        await page.keyboard.press('Escape');
        assert.equal(await focused(), 'Clipboard');
        await page.keyboard.press('Escape');
        assert.ok(await page.locator('#tools').isHidden());

        const nameless = await page.evaluate(() => [...document.querySelectorAll('button, input, select, textarea')]
            .filter((control) => control.id !== 'typing' && control.id !== 'ov-action')
            .filter((control) => !(control.getAttribute('aria-label') || control.labels?.[0]?.textContent.trim() || control.textContent.trim()))
            .map((control) => control.outerHTML));
        assert.deepEqual(nameless, []);
    });
});

describe('an application that ends', () => {
    test('is named as the reason', async () => {
        const desk = await startDesktop(['sh', '-c', 'xterm -geometry 80x24+20+20 -e cat; exit 3']);
        const browser = await openBrowser();
        try {
            const page = await openPage(browser, desk);
            await page.mouse.click(300, 200);
            await page.keyboard.press('Control+KeyD');
            assert.deepEqual(await desk.exited, { code: 3, signal: null });
            await until('the reason', async () => (await page.textContent('#ov-title')).includes('application has ended, code 3'));
        } finally {
            await browser.close();
            await desk.stop();
        }
    });
});

describe('a desktop that is stopped', () => {
    test('leaves time to save', async () => {
        const desk = await startDesktop(['sh', '-c', 'exec l3afpad "${XAUTHORITY%/*}.txt"'], { GRACE_PERIOD: '600' });
        const browser = await openBrowser();
        try {
            const page = await openPage(browser, desk);
            await page.mouse.click(300, 200);
            await page.keyboard.press('x');
            const title = async () => desk.on('xdotool', ['getactivewindow', 'getwindowname']);
            await until('a change', async () => (await title()).startsWith('*'));
            desk.terminate();
            await until('the question', async () => !(await title()).startsWith('*'));
            await until('the title', async () => (await page.title()).endsWith(': save your work now (stopped by SIGTERM)'));
            assert.equal(await page.locator('#overlay').isHidden(), true);
            await page.keyboard.press('Enter');
            assert.deepEqual(await desk.exited, { code: 0, signal: null });
            await until('the reason', async () => (await page.textContent('#ov-title')).includes('application has ended, code 0'));
            assert.equal(await readFile(join(desk.directory, 'run.txt'), 'utf8'), 'x');
        } finally {
            await browser.close();
            await desk.stop();
        }
    });
});

// A browser of its own for each test: Debian's Chromium, headless, with an empty profile.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
];

/** Starts a browser; `options` are those of a browser context. Returns { context, page, complaints, close };
 * complaints are uncaught errors and breaches of the content security policy. */
export async function openBrowser(options = {}) {
    const profile = await mkdtemp(join(tmpdir(), 'deskinit-page-'));
    const context = await chromium.launchPersistentContext(profile, {
        executablePath: CHROMIUM, headless: true, args: FLAGS, viewport: { width: 1000, height: 700 }, ...options,
    });
    const [page] = context.pages();
    const complaints = [];
    page.on('pageerror', (error) => complaints.push(String(error.stack ?? error)));
    page.on('console', (message) => /Content.Security.Policy/i.test(message.text()) && complaints.push(message.text()));
    const close = async () => {
        await context.close();
        await rm(profile, { recursive: true, force: true });
    };
    return { context, page, complaints, close };
}

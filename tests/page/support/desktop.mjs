// The real program, with a display, ports and directories of its own.

import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { until } from './until.mjs';

const DESKINIT = process.env.DESKINIT ?? resolve(import.meta.dirname ?? '.', '../../../target/debug/deskinit');
const SETTINGS = /^(VNC_|NO_VNC_|DISPLAY|APPLICATION|RUN_DIR|XAUTHORITY|SECURE_|ALLOW_|DESKTOP_|X11)/;

export const PASSWORD = 'Geheim77';

/** Below those that the kernel gives to connections: one of those could be in use again before the program listens. */
async function freePort() {
    for (;;) {
        const port = 10000 + Math.floor(Math.random() * 20000);
        const server = createServer();
        const free = await new Promise((done) => {
            server.once('error', () => done(false));
            server.listen(port, '127.0.0.1', () => done(true));
        });
        if (free) {
            await new Promise((closed) => { server.close(closed); });
            return port;
        }
    }
}

function freeDisplay() {
    let number;
    do {
        number = 300 + Math.floor(Math.random() * 5000);
    } while (existsSync(`/tmp/.X11-unix/X${number}`) || existsSync(`/tmp/.X${number}-lock`));
    return `:${number}`;
}

/** Starts `deskinit run -- command` and waits until a user could use it. `env` adds to its settings. */
export async function startDesktop(command, env = {}) {
    const directory = await mkdtemp(join(tmpdir(), 'deskinit-desk-'));
    const port = await freePort();
    const settings = {
        DISPLAY: freeDisplay(), NO_VNC_PORT: String(port), VNC_PORT: String(await freePort()),
        BIND_ADDRESS: '127.0.0.1', RUN_DIR: join(directory, 'run'), VNC_PASSWORD: PASSWORD,
        DISPLAY_WIDTH: '800', DISPLAY_HEIGHT: '600', DESKTOP_NAME: 'Test\u202edesk', ...env,
    };
    const inherited = Object.entries(process.env).filter(([name]) => !SETTINGS.test(name));
    const child = spawn(DESKINIT, ['run', '--', ...command], {
        env: { ...Object.fromEntries(inherited), ...settings }, stdio: ['ignore', 'pipe', 'pipe'],
    });
    let log = '';
    child.stdout.on('data', (text) => { log += text; });
    child.stderr.on('data', (text) => { log += text; });
    const exited = new Promise((exit) => { child.on('exit', (code, signal) => exit({ code, signal })); });
    const url = `http://127.0.0.1:${port}/`;
    const x = { DISPLAY: settings.DISPLAY, XAUTHORITY: join(settings.RUN_DIR, 'Xauthority') };

    const desk = {
        url,
        directory,
        exited,
        log: () => log,
        /** Runs a program on the display; `input` is its standard input. Returns what it printed. */
        async on(program, args, input) {
            const running = promisify(execFile)(program, args, { env: { ...process.env, ...x }, timeout: 10000 });
            running.child.stdin.end(input);
            return (await running).stdout;
        },
        /** Starts a program that stays. */
        start(program, args, input) {
            const staying = spawn(program, args, { env: { ...process.env, ...x }, stdio: ['pipe', 'ignore', 'ignore'] });
            staying.stdin.end(input);
            return staying;
        },
        /** The process id of the display server. */
        async server() {
            for (const name of await readdir('/proc')) {
                const status = /^\d+$/.test(name) && (await readFile(`/proc/${name}/status`, 'utf8').catch(() => ''));
                if (status && status.includes(`\nPPid:\t${child.pid}\n`)) {
                    const words = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
                    if (words.split('\0')[1] === 'serve') {
                        return Number(name);
                    }
                }
            }
            return 0;
        },
        /** Asks for the end, as a container engine does. */
        terminate() {
            if (child.exitCode === null && child.signalCode === null) {
                child.kill('SIGTERM');
            }
        },
        async stop() {
            desk.terminate();
            const timer = setTimeout(() => child.kill('SIGKILL'), 15000);
            await exited;
            clearTimeout(timer);
            await rm(directory, { recursive: true, force: true });
        },
    };
    try {
        await until('ready', async () => {
            if (child.exitCode !== null) {
                throw new Error(`deskinit has ended with ${child.exitCode}`);
            }
            return (await fetch(`${url}readyz`)).ok;
        }, 20000);
    } catch (error) {
        await desk.stop();
        throw new Error(`${error.message}\n${log}`);
    }
    return desk;
}

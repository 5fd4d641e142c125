// The parts of the page that need no browser.

import assert from 'node:assert/strict';
import test from 'node:test';
import { keysymOfCharacter } from '../../src/http/page/app/keys.js';
import { explain, hint, plainName } from '../../src/http/page/app/reason.js';
import { Settings } from '../../src/http/page/app/settings.js';
import { difference } from '../../src/http/page/app/touch.js';

function settings(address, { defaults = {}, mandatory = {} } = {}) {
    const location = new URL(address);
    const replaced = [];
    const history = { state: null, replaceState: (state, title, url) => replaced.push(url) };
    return { ...{ location, replaced }, settings: new Settings(defaults, mandatory, location, history) };
}

test('the address beats defaults, and nothing beats what is mandatory', () => {
    const { settings: s } = settings('http://desk/?quality=3&resize=scale#quality=4', {
        defaults: { quality: 8, compression: 9 }, mandatory: { resize: 'off', view_only: true },
    });
    assert.equal(s.get('quality'), 4);
    assert.equal(s.get('compression'), 9);
    assert.equal(s.get('resize'), 'off');
    assert.equal(s.get('view_only'), true);
    assert.ok(s.isFixed('view_only') && !s.isFixed('quality'));
    s.set('view_only', false);
    assert.equal(s.get('view_only'), true);
});

test('values that make no sense are passed over', () => {
    const { settings: s } = settings('http://desk/?quality=11&compression=x&resize=huge&port=0&shared=0&bell=');
    assert.equal(s.get('quality'), 6);
    assert.equal(s.get('compression'), 2);
    assert.equal(s.get('resize'), 'remote');
    assert.equal(s.get('port'), 0);
    assert.equal(s.get('shared'), false);
    assert.equal(s.get('bell'), true);
});

test('a password is taken from the fragment and leaves the address bar', () => {
    const { settings: s, replaced } = settings('http://desk/vnc.html?quality=3#password=a%26b&resize=off');
    assert.equal(s.password, 'a&b');
    assert.deepEqual(replaced, ['/vnc.html?quality=3#resize=off']);
});

test('a password in the query is not taken, and leaves too', () => {
    const { settings: s, replaced } = settings('http://desk/?password=x');
    assert.equal(s.password, null);
    assert.deepEqual(replaced, ['/']);
});

test('the websocket is beside the page, or where the address says', () => {
    const at = (address) => {
        const { settings: s, location } = settings(address);
        return s.address(location);
    };
    assert.equal(at('http://desk:5800/'), 'ws://desk:5800/websockify');
    assert.equal(at('https://desk/pods/7/vnc.html?x#y'), 'wss://desk/pods/7/websockify');
    assert.equal(at('http://desk/?encrypt=1'), 'wss://desk/websockify');
    assert.equal(at('http://desk:5800/a/?host=other&port=81&path=ws/x'), 'ws://other:81/ws/x');
    assert.equal(at('http://desk:5800/a/?host=other'), 'ws://other/websockify');
    assert.equal(at('http://desk:5800/?port=81'), 'ws://desk:81/websockify');
    assert.equal(at('http://desk:5800/?port=80&encrypt=1'), 'wss://desk:80/websockify');
    assert.equal(at('http://desk:5800/a/?host=other&path=ws%3Ftoken%3D1'), 'ws://other/ws?token=1');
    for (const path of ['//evil/ws', 'https://evil:99/ws', 'wss://evil/ws', '\\\\evil/ws']) {
        assert.equal(at(`http://desk:5800/?path=${encodeURIComponent(path)}`), 'ws://desk:5800/ws', path);
    }
});

test('the reason for an end is told by who knows it best', () => {
    const end = (given) => ({ code: 1006, reason: '', problem: '', refused: null, ...given });
    const parts = [{ name: 'display', ok: true, detail: '' }, { name: 'window manager', ok: false, detail: 'openbox is starting' }];

    let why = explain(end({ code: 1001, reason: 'the application has ended, code 3' }), null, false);
    assert.equal(why.title, 'The application has ended, code 3');
    assert.equal(why.detail, 'The server does not answer any more.');

    why = explain(end({}), null, false);
    assert.deepEqual([why.title, why.detail], ['The server does not answer', '']);

    why = explain(end({}), { ready: false, message: 'starting: waiting for the window manager', parts }, true);
    assert.equal(why.title, 'Starting: waiting for the window manager');
    assert.equal(why.parts.length, 2);

    why = explain(end({}), { ready: false, message: null, parts }, true);
    assert.equal(why.title, 'Waiting for the window manager: openbox is starting');

    why = explain(end({ problem: 'Connection closed (code: 1006)' }), { ready: true, parts: [] }, true);
    assert.deepEqual([why.title, why.detail, why.parts], ['The connection was lost', '', []]);

    why = explain(end({ reason: 'a\u0000b\u202ec\n<b>' }), null, true);
    assert.equal(why.title, 'A b c <b>');
});

test('a hint names what a desktop that is connected still lacks', () => {
    assert.equal(hint(null), '');
    assert.equal(hint({ ready: true, parts: [{ name: 'x', ok: false }] }), '');
    assert.equal(hint({ ready: false, parts: [{ name: 'application', ok: false, detail: 'no window yet' }] }), 'Waiting for the application: no window yet');
});

test('names from the server are plain text', () => {
    assert.equal(plainName(' desk\u0007\u202e\u200btop\n'), 'desk top');
    assert.equal(plainName('x'.repeat(500)).length, 80);
});

test('what a phone changes in a text becomes key presses', () => {
    assert.deepEqual(difference('__', '__a'), { deletions: 0, characters: ['a'] });
    assert.deepEqual(difference('__teh', '__the '), { deletions: 2, characters: ['h', 'e', ' '] });
    assert.deepEqual(difference('__🙂', '__'), { deletions: 1, characters: [] });
    assert.equal(keysymOfCharacter('a'), 0x61);
    assert.equal(keysymOfCharacter('ß'), 0xdf);
    assert.equal(keysymOfCharacter('€'), 0x010020ac);
    assert.equal(keysymOfCharacter('\n'), 0xff0d);
});

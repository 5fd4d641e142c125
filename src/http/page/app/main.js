// Puts the page together.

import { clipboardPanel } from './clipboard.js';
import { Connection } from './connection.js';
import { settingsPanel } from './controls.js';
import { bell, stayAwake, titleOf } from './device.js';
import { keysPanel } from './keys.js';
import { Settings } from './settings.js';
import { Stats } from './stats.js';
import { Toolbar } from './toolbar.js';
import { touchKeyboard } from './touch.js';

const $ = (id) => document.getElementById(id);

const settings = await Settings.load(location, history);
const connection = new Connection($('screen'), settings);
const toolbar = new Toolbar(connection);
const stats = new Stats(connection);

toolbar.onPanel = (panel) => { stats.open = panel === 'stats'; };
keysPanel($('keys'), connection);
clipboardPanel(connection, settings, () => toolbar.news('clipboard'));
settingsPanel($('settings'), settings);
touchKeyboard($('b-keyboard'), $('typing'), connection);
stayAwake(connection, settings);
titleOf(connection);
connection.addEventListener('bell', () => settings.get('bell') && bell());

if (settings.get('autoconnect')) {
    connection.start();
} else {
    connection.idle();
}

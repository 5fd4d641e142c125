// The question for the password. It stays in this page's memory for reconnects, and nowhere else.

const $ = (id) => document.getElementById(id);

/**
 * @param ask { types: what the server wants, where: the server if it is not this page's, error: why it asks again }
 * @returns the credentials, or null when the user put the question away
 */
export function askCredentials({ types, where, error }) {
    const dialog = $('login');
    const wantsUser = types.includes('username');
    $('login-user-field').hidden = !wantsUser;
    $('login-user').required = wantsUser;
    $('login-password').value = '';
    $('login-where').textContent = where ? `For the server ${where}, which is not the one of this page.` : '';
    $('login-error').textContent = error;
    return new Promise((resolve) => {
        let answer = null;
        dialog.querySelector('form').onsubmit = () => {
            answer = { password: $('login-password').value };
            if (wantsUser) {
                answer.username = $('login-user').value;
            }
        };
        dialog.onclose = () => {
            $('login-password').value = '';
            resolve(answer);
        };
        dialog.showModal();
        (wantsUser ? $('login-user') : $('login-password')).focus();
    });
}

/** Takes the question away, as when the server has gone meanwhile. */
export function dismissLogin() {
    if ($('login').open) {
        $('login').close();
    }
}

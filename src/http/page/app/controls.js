// The settings panel: shows the settings, and changes them.

export function settingsPanel(panel, settings) {
    const controls = panel.querySelectorAll('[data-setting]');
    const show = () => {
        for (const control of controls) {
            const value = settings.get(control.dataset.setting);
            if (control.type === 'checkbox') {
                control.checked = value;
            } else {
                control.value = String(value);
            }
            const output = panel.querySelector(`output[for="${control.id}"]`);
            if (output) {
                output.textContent = String(value);
            }
        }
    };
    for (const control of controls) {
        const name = control.dataset.setting;
        control.disabled = settings.isFixed(name);
        control.addEventListener('input', () => {
            settings.set(name, control.type === 'checkbox' ? control.checked : control.value);
        });
    }
    settings.addEventListener('change', show);
    show();
}

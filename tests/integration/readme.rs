//! The README's table of settings is the program's own.

use deskinit::config::markdown_table;
use std::path::Path;

const BEGIN: &str = "<!-- settings:begin -->\n";
const END: &str = "<!-- settings:end -->";

/// `UPDATE_README=1 cargo test --test integration readme` writes the table anew.
#[test]
fn the_settings_table_is_the_one_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(BEGIN).expect("README has the begin marker");
    let (table, tail) = rest.split_once(END).expect("README has the end marker");
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(
            &path,
            format!("{head}{BEGIN}{}{END}{tail}", markdown_table()),
        )
        .unwrap();
        return;
    }
    assert!(
        table == markdown_table(),
        "README.md: the settings table is not that of src/config; UPDATE_README=1 writes it anew"
    );
}

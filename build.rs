//! Builds what the program carries:
//!
//! - the web page: installs noVNC and esbuild by npm as the lock file pins them, bundles, compresses, and writes a table of
//!   the results for `src/http/assets.rs`;
//! - the GLX driver of the X server, a shared library that is built by itself, for `src/sys/glx.rs`.
//!
//! Nothing runs again unless a file of them changed.

use std::collections::hash_map::DefaultHasher;
use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::hash::Hasher;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use flate2::Compression;
use flate2::write::GzEncoder;

const DRIVER: &str = "src/sys/glx/driver.rs";
const PAGE: &str = "src/http/page";
const MODULES: &str = "src/http/page/node_modules";
/// A copy of the lock file that `MODULES` was installed from.
const STAMP: &str = "src/http/page/node_modules/.deskinit-lock.json";
/// Everything the result depends on; directories with all that is in them.
const INPUTS: [&str; 11] = [
    "build.rs",
    DRIVER,
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "src/http/page/.npmrc",
    "src/http/page/package.json",
    "src/http/page/package-lock.json",
    "src/http/page/index.html",
    "src/http/page/favicon.svg",
    "src/http/page/style",
    "src/http/page/app",
];
/// Licences of what is embedded: a heading, and where the text is.
const LICENCES: [(&str, &str); 6] = [
    (
        "deskinit (either licence, at your choice): MIT",
        "LICENSE-MIT",
    ),
    (
        "deskinit (either licence, at your choice): Apache 2.0",
        "LICENSE-APACHE",
    ),
    (
        "noVNC core 1.7.0; its source code: https://github.com/novnc/noVNC/tree/v1.7.0",
        "src/http/page/node_modules/@novnc/novnc/LICENSE.txt",
    ),
    (
        "noVNC: authors",
        "src/http/page/node_modules/@novnc/novnc/AUTHORS",
    ),
    (
        "noVNC: Mozilla Public License 2.0",
        "src/http/page/node_modules/@novnc/novnc/docs/LICENSE.MPL-2.0",
    ),
    (
        "pako (part of noVNC): MIT",
        "src/http/page/node_modules/@novnc/novnc/vendor/pako/LICENSE",
    ),
];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    for input in INPUTS {
        println!("cargo:rerun-if-changed={input}");
    }
    for (what, built) in [("web page", page()), ("GLX driver", driver())] {
        if let Err(error) = built {
            eprintln!("the {what} could not be built: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn variable(name: &str) -> Result<OsString> {
    Ok(std::env::var_os(name).ok_or(format!("{name} is not set"))?)
}

/// Without a C library or anything else: the X server that loads it has its own.
fn driver() -> Result<()> {
    let out = PathBuf::from(variable("OUT_DIR")?).join("swrast_dri.so");
    let mut command = Command::new(variable("RUSTC")?);
    command.args(["--edition=2024", "--crate-type=cdylib", "--crate-name=glx"]);
    command.arg("--target").arg(variable("TARGET")?);
    for option in [
        "panic=abort",
        "opt-level=s",
        "strip=symbols",
        // Also where the program itself is linked statically.
        "target-feature=-crt-static",
        "link-arg=-nostdlib",
    ] {
        command.args(["-C", option]);
    }
    if let Some(linker) = std::env::var_os("RUSTC_LINKER") {
        let mut option = OsString::from("linker=");
        option.push(linker);
        command.arg("-C").arg(option);
    }
    let output = command.arg("-o").arg(out).arg(DRIVER).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(())
}

fn page() -> Result<()> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    install()?;
    let page = Path::new(PAGE);
    let files = [
        (
            "/",
            "text/html; charset=utf-8",
            fs::read(page.join("index.html"))?,
        ),
        (
            "/app.js",
            "text/javascript; charset=utf-8",
            bundle("app/main.js", &out.join("app.js"))?,
        ),
        (
            "/style.css",
            "text/css; charset=utf-8",
            bundle("style/main.css", &out.join("style.css"))?,
        ),
        (
            "/favicon.svg",
            "image/svg+xml",
            fs::read(page.join("favicon.svg"))?,
        ),
        ("/licences.txt", "text/plain; charset=utf-8", licences()?),
    ];
    let mut table = format!(
        "/// Every file of the page.\npub static FILES: [Asset; {}] = [\n",
        files.len()
    );
    for (index, (path, content_type, plain)) in files.iter().enumerate() {
        let stored = out.join(format!("asset-{index}"));
        fs::write(&stored, plain)?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain)?;
        let packed = encoder.finish()?;
        let gzip = if packed.len() < plain.len() {
            let stored = out.join(format!("asset-{index}.gz"));
            fs::write(&stored, &packed)?;
            format!("Some(include_bytes!({stored:?}))")
        } else {
            "None".into()
        };
        let mut hasher = DefaultHasher::new();
        hasher.write(plain);
        writeln!(
            table,
            "    Asset {{ path: {path:?}, content_type: {content_type:?}, hash: \"{:016x}\", \
             plain: include_bytes!({stored:?}), gzip: {gzip} }},",
            hasher.finish()
        )?;
    }
    table.push_str("];\n");
    fs::write(out.join("assets.rs"), table)?;
    Ok(())
}

/// `npm ci`, unless what the lock file says is there already.
fn install() -> Result<()> {
    let lock_path = Path::new(PAGE).join("package-lock.json");
    let wanted = fs::read(&lock_path)?;
    // Two builds of one checkout (say, cargo and an editor with another target directory) must not install at once.
    let guard = File::open(&lock_path)?;
    guard.lock()?;
    if fs::read(STAMP).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let output = Command::new("npm").arg("ci").current_dir(PAGE).output().map_err(|error| {
        format!("npm does not run ({error}). Install Node.js 18 or newer with npm (Debian: apt-get install npm)")
    })?;
    if !output.status.success() {
        return Err(format!(
            "`npm ci` in {PAGE} failed ({}). It needs the npm registry once; without a network, copy {MODULES} from a \
             machine that has it, with its .deskinit-lock.json.\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    fs::write(STAMP, wanted)?;
    Ok(())
}

/// Bundles an entry point of the page with everything it imports into one small file.
fn bundle(entry: &str, out: &Path) -> Result<Vec<u8>> {
    let output = Command::new(Path::new("node_modules/.bin/esbuild"))
        .current_dir(PAGE)
        .arg(entry)
        .args([
            "--bundle",
            "--minify",
            "--format=esm",
            "--charset=utf8",
            "--log-level=warning",
        ])
        // noVNC asks for its H.264 decoder by a top-level await.
        .arg("--target=es2022")
        .arg("--legal-comments=none")
        .args([
            "--banner:js=/*! deskinit with noVNC 1.7.0 (MPL-2.0): see licences.txt */",
            "--banner:css=/*! deskinit: see licences.txt */",
        ])
        .arg(format!("--outfile={}", out.display()))
        .output()
        .map_err(|error| {
            format!("esbuild does not run: {error}. Remove {MODULES} and build again")
        })?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(fs::read(out)?)
}

fn licences() -> Result<Vec<u8>> {
    let mut text = String::from("The web page and the program that serves it contain:\n");
    for (heading, path) in LICENCES {
        let body = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        write!(
            text,
            "\n{line}\n{heading}\n{line}\n\n{}\n",
            body.trim_end(),
            line = "=".repeat(80)
        )?;
    }
    Ok(text.into_bytes())
}

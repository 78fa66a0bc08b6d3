//! Lists the Markdown files of `docs/`, so that a file added there is served without a further line.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?);
    let docs = manifest.join("../../docs");
    println!("cargo::rerun-if-changed={}", docs.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&docs)? {
        let name = entry?.file_name().into_string().map_err(|_| io::ErrorKind::InvalidData)?;
        if name.ends_with(".md") {
            names.push(name);
        }
    }
    names.sort();
    let mut list = String::from("&[\n");
    for name in &names {
        // Writing to a String can't fail.
        let _ = writeln!(list, "    ({name:?}, include_str!({:?})),", docs.join(name));
    }
    list.push_str("]\n");
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(Path::new(&out).join("docs.rs"), list)
}

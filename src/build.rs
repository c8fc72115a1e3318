//! Build script. It hashes the rater, so that ratings which are kept are not taken for another one's. And it reduces the
//! metadata of `phonenumber` to what a transfer asks of it, the patterns of numbers that cost whoever calls them: the whole
//! would cost every process 65 ms at its start and 6 MiB; these cost it a millisecond. And it has the linker pack the
//! addresses that every process puts right at its start, and keep one of what is the same code.

use std::error::Error;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use phonenumber::metadata::{DATABASE, Descriptor};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=src/build.rs");
    let mut table = String::new();
    for code in 1..=999_u16 {
        let mut rows: Vec<String> = Vec::new();
        for region in DATABASE.by_code(&code).unwrap_or_default() {
            let numbers = region.descriptors();
            for (kind, descriptor) in [("premium", numbers.premium_rate()), ("shared", numbers.shared_cost())] {
                rows.extend(descriptor.map(|d| format!("{code}\t{kind}\t{}", pattern(d))));
            }
        }
        rows.sort();
        rows.dedup();
        for row in rows {
            writeln!(table, "{row}")?;
        }
    }
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("costly.tsv"), table)?;
    if loader_unpacks() {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    if linker_folds(&out) {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
    rater_id()
}

/// Whether the loader of the machine that the program is built on, and for, reads packed relative relocations (DT_RELR):
/// glibc does from 2.36 on, Debian 12's. They are 0.9 MB less of the file, and of what each start reads.
fn loader_unpacks() -> bool {
    let of = |name| std::env::var(name).unwrap_or_default();
    let here =
        of("HOST") == of("TARGET") && of("CARGO_CFG_TARGET_OS") == "linux" && of("CARGO_CFG_TARGET_ENV") == "gnu";
    here && glibc().is_some_and(|version| version >= (2, 36))
}

/// Whether the linker can keep one of several functions that came out the same, of which generic code has many: lld can,
/// by which rustc links here without being told to. A tiny program is linked to see it. Nothing in Rust may count on two
/// functions lying at two addresses.
fn linker_folds(out: &Path) -> bool {
    let of = |name| std::env::var(name).unwrap_or_default();
    let plain = of("CARGO_ENCODED_RUSTFLAGS").is_empty() && of("RUSTC_LINKER").is_empty();
    let (probe, tried) = (out.join("probe.rs"), out.join("probe"));
    let link = || Command::new(of("RUSTC")).arg("-Clink-arg=-Wl,--icf=all").arg("-o").arg(&tried).arg(&probe).output();
    plain
        && of("PROFILE") == "release"
        && of("HOST") == of("TARGET")
        && of("CARGO_CFG_TARGET_OS") == "linux"
        && std::fs::write(&probe, "fn main() {}").is_ok()
        && link().is_ok_and(|linked| linked.status.success())
}

/// This machine's glibc: `getconf` says "glibc 2.36".
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?.stdout;
    let said = String::from_utf8(said).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `SIDECAR_RATER_ID`: a hash of the rater's code and weights, and of the libraries that it computes with.
fn rater_id() -> Result<(), Box<dyn Error>> {
    let mut hash = DefaultHasher::new();
    for place in ["src/sentiment", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={place}");
        hash_files(Path::new(place), &mut hash)?;
    }
    println!("cargo::rustc-env=SIDECAR_RATER_ID={:016x}", hash.finish());
    Ok(())
}

fn hash_files(path: &Path, hash: &mut DefaultHasher) -> Result<(), Box<dyn Error>> {
    if path.is_dir() {
        let mut entries =
            std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        entries.sort();
        return entries.iter().try_for_each(|entry| hash_files(entry, hash));
    }
    if path.exists() {
        path.hash(hash);
        std::fs::read(path)?.hash(hash);
    }
    Ok(())
}

/// The pattern of national numbers, on one line.
fn pattern(descriptor: &Descriptor) -> String {
    descriptor.national_number().as_str().split_whitespace().collect()
}

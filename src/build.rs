//! Build script: reduces the metadata of `phonenumber` to what a transfer asks of it, the patterns of numbers that cost
//! whoever calls them. The whole would cost every process 65 ms at its start and 6 MiB; these cost it a millisecond.

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;

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
    Ok(())
}

/// The pattern of national numbers, on one line.
fn pattern(descriptor: &Descriptor) -> String {
    descriptor.national_number().as_str().split_whitespace().collect()
}

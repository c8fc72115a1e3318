//! The program: parse, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;
use sentiment_sidecar::cli::{Cli, exit::Exit, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            anstream::eprintln!("error: the async runtime did not start: {error}");
            return Exit::Other.into();
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            let (red, cyan) = (anstyle::AnsiColor::Red.on_default().bold(), anstyle::AnsiColor::Cyan.on_default());
            anstream::eprintln!("{red}error{red:#}: {failure}");
            if let Some(help) = &failure.help {
                anstream::eprintln!("  {cyan}help{cyan:#}: {help}");
            }
            failure.exit.into()
        }
    }
}

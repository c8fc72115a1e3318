//! The program: parse, dispatch, exit code.

use std::process::ExitCode;

use sentiment_sidecar::cli::{Cli, exit::Exit, run};
use sentiment_sidecar::telemetry::shown::shown_lines;

fn main() -> ExitCode {
    let cli = Cli::of_process();
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
            let said = failure.to_string();
            anstream::eprintln!("{red}error{red:#}: {}", shown_lines(&said));
            if let Some(help) = &failure.help {
                anstream::eprintln!("  {cyan}help{cyan:#}: {}", shown_lines(help));
            }
            failure.exit.into()
        }
    }
}

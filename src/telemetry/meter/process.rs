//! What the system says of this process, by the names that Prometheus' own client libraries use.

use std::fmt::Write as _;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use super::series::Head;

/// Clock ticks a second in /proc/PID/stat: a constant of Linux' interface, whatever its own timer does.
const TICKS: f64 = 100.0;

/// Writes memory, CPU time, open files and when the process began. What the system does not say is left out.
pub(super) fn write(began_at: SystemTime, text: &mut String) {
    let mut sample = |kind: &str, name, help, value: Option<f64>| {
        let Some(value) = value else { return };
        Head { name, help }.write(kind, text);
        let _ = writeln!(text, "{name} {value}");
    };
    sample("gauge", "process_resident_memory_bytes", "Resident memory size in bytes.", resident());
    sample("counter", "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", cpu());
    sample("gauge", "process_open_fds", "Number of open file descriptors.", open_files());
    let began = began_at.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs_f64());
    let help = "Start time of the process since unix epoch in seconds.";
    sample("gauge", "process_start_time_seconds", help, began);
}

/// From a line such as `VmRSS:     12345 kB`.
fn resident() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0)
}

/// The 14th and 15th field; the second is the program's name in brackets, which may hold anything.
fn cpu() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

fn open_files() -> Option<f64> {
    // The folder itself is open while it is read.
    let files = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    u32::try_from(files).ok().map(f64::from)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn linux_says_all_of_it() {
        let resident = resident().unwrap_or_default();
        assert!((1e6..1e12).contains(&resident), "{resident}");
        assert!(cpu().is_some() && open_files().is_some_and(|files| files > 2.0));
    }
}

//! How much a worker does of what it can ([`Load`]).

use std::path::Path;

/// How much a worker does of what it can, each from 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Its calls, of those that it may have.
    pub calls: f64,
    /// How long a turn waits for its rating, of what it may wait.
    pub rating: f64,
    /// The memory of the process, of what it may have.
    pub memory: f64,
}

impl Load {
    /// A worker that has so much of its memory, or rates so slowly, takes no more calls: those that it has will need some.
    pub const MOST: f64 = 0.9;

    /// The greatest of them, which is what is told of.
    #[must_use]
    pub fn highest(&self) -> f64 {
        self.calls.max(self.rating).max(self.memory).clamp(0.0, 1.0)
    }

    /// Whether it can take no more calls.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.calls >= 1.0 || self.rating >= Self::MOST || self.memory >= Self::MOST
    }
}

/// A part of a whole; nothing of a whole that is not known.
pub(super) fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.0 }
}

/// The memory that this process has, and may have, in bytes; none where the system does not say.
pub(super) fn memory() -> Option<(u64, u64)> {
    let used = labelled(&read("/proc/self/status")?, "VmRSS:")?;
    Some((used, limit(machine(), control_group())?))
}

/// The lower of what the machine has and what our control group may have, as far as they are known.
fn limit(machine: Option<u64>, group: Option<u64>) -> Option<u64> {
    machine.into_iter().chain(group).min()
}

/// The machine's memory, in bytes. The kernel is asked, as a service may see nothing of /proc but its processes.
#[cfg(target_os = "linux")]
fn machine() -> Option<u64> {
    let info = rustix::system::sysinfo();
    #[expect(clippy::useless_conversion, reason = "it has 32 bits on machines of 32 bits")]
    Some(u64::from(info.mem_unit).saturating_mul(u64::from(info.totalram)))
}

#[cfg(not(target_os = "linux"))]
fn machine() -> Option<u64> {
    None
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// `Name:   123 kB`, in bytes.
fn labelled(text: &str, label: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
    let kilobytes: u64 = rest.split_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// The limit of the control group that we are in, and of those above it (cgroup v2), in bytes.
fn control_group() -> Option<u64> {
    let groups = read("/proc/self/cgroup")?;
    let ours = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = Path::new("/sys/fs/cgroup");
    let folder = root.join(ours);
    let limits = folder.ancestors().take_while(|folder| folder.starts_with(root));
    limits.filter_map(|folder| read(folder.join("memory.max"))?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
    use super::*;

    #[test]
    fn the_greatest_part_is_the_load_and_any_can_make_it_full() {
        let load = |calls, rating, memory| Load { calls, rating, memory };
        assert!((load(0.2, 0.5, 0.3).highest() - 0.5).abs() < f64::EPSILON);
        assert!(!load(0.99, 0.89, 0.89).is_full());
        assert!(load(1.0, 0.0, 0.0).is_full() && load(0.0, 0.9, 0.0).is_full() && load(0.0, 0.0, 0.9).is_full());
    }

    #[test]
    fn what_the_system_says_of_memory_is_read() {
        assert_eq!(labelled("Name:\tx\nVmRSS:\t   2048 kB\n", "VmRSS:"), Some(2 << 20));
        assert_eq!(labelled("VmRSS:\t much", "VmRSS:"), None);
        assert!(share(1.0, 0.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_lower_limit_counts_and_either_alone() {
        assert_eq!(limit(Some(8), Some(2)), Some(2));
        assert_eq!(limit(Some(2), Some(8)), Some(2));
        assert_eq!(limit(None, Some(8)), Some(8));
        assert_eq!(limit(Some(8), None), Some(8));
        assert_eq!(limit(None, None), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_says_of_the_machine_what_proc_says_or_more() {
        // A container's /proc may be a view of its own.
        assert!(machine() >= labelled(&read("/proc/meminfo").unwrap(), "MemTotal:"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_some_memory_of_this_machine() {
        let (used, most) = memory().unwrap();
        assert!(used > 1 << 20 && used < most, "{used} of {most}");
    }
}

//! A call in a real LiveKit room, then 300 of them in one worker, each beside LiveKit's own client in Python in the same run: start to
//! first transcript receivable (goal: 100 ms), memory a call (goal: 1 MB) and CPU a turn. Server, rooms and peers are run by
//! `livekit_attach.py` and `livekit_worker.py`, with what `tests/setup.sh` has installed.
//!
//! ```sh
//! cargo bench --bench livekit                 # 10 starts, 300 rooms
//! cargo bench --bench livekit -- 3 50         # 3 starts, 50 rooms
//! ```
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on should panic")]

use std::path::PathBuf;
use std::process::Command;

fn main() {
    let counts: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_owned();
    let python = target.join("bridges/bin/python");
    assert!(python.exists(), "there is no {}: run bash tests/setup.sh", python.display());
    for (script, count) in ["livekit_attach.py", "livekit_worker.py"].into_iter().zip(0..) {
        let mut command = Command::new(&python);
        command.arg(format!("tests/bench/{script}")).args(counts.get(count)).current_dir(env!("CARGO_MANIFEST_DIR"));
        command.env("SENTIMENT_SIDECAR", env!("CARGO_BIN_EXE_sentiment-sidecar"));
        command.env("LIVEKIT_SERVER", target.join("livekit/server"));
        let status = command.status().unwrap();
        assert!(status.success(), "{script}: {status}");
    }
}

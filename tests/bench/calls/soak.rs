//! A busy day: many calls in one process, many open boards, for as long as one likes; how much memory all of it takes, minute
//! by minute.

use std::collections::HashMap;
use std::time::Duration;

use crate::measure::{PROGRAM, Platform};
use crate::process::{Memory, Process, Said};
use crate::rooms::Play;
use crate::show::{megabytes, quantile, short};
use crate::{EVERY, SECOND};

const MINUTE: Duration = Duration::from_secs(60);
/// Both sides of a call say so much: five minutes.
const TURNS: usize = 60;
/// It has no worth beyond this host.
const TOKEN: &str = "of-the-soak";

/// So many calls and open boards, for so many minutes after one that is not counted.
pub(crate) fn run(minutes: usize, calls: usize, people: usize) {
    let mut platform = Platform::open(Play { calls, turns: Some(TURNS), every: EVERY, round: MINUTE, rounds: minutes });
    let store = platform.store("store.db");
    let host = Process::role(&["host".to_owned(), platform.url.clone(), calls.to_string(), store.clone()]);
    assert!(matches!(platform.rooms.hear(), Said::Attached));
    let mut review = Process::review(PROGRAM, &store, TOKEN);
    let url = review.line().trim_end().rsplit(' ').next().unwrap().trim_end_matches('/').to_owned();
    let mut boards = Process::role(&["boards".to_owned(), url, TOKEN.to_owned(), people.to_string()]);
    assert!(matches!(boards.hear(), Said::Attached), "the boards should be open");
    println!("{calls} calls with a turn every {EVERY:?}, another one for each after {TURNS}, {people} open boards");
    println!(
        "{:>6} {:>8} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7} {:>9}",
        "minute", "host MB", "private", "review MB", "private", "p99, ms", "host", "review", "in vain"
    );
    platform.rooms.go();
    assert!(matches!(platform.rooms.hear(), Said::WarmedUp));
    let cpu = || HashMap::from([("host", host.cpu()), ("review", review.cpu())]);
    let mut so_far = cpu();
    for minute in 1..=minutes {
        let Said::Round { mut waited, undecided } = platform.rooms.hear() else { panic!("a minute should have ended") };
        waited.sort_unstable();
        let waited: Vec<f64> = waited.into_iter().map(|us| us as f64 / 1000.0).collect();
        let until_now = cpu();
        let busy = |who: &str| (until_now[who] - so_far[who]).as_secs_f64() / MINUTE.as_secs_f64() * 100.0;
        let Memory { pss, private } = host.memory();
        let of_review = review.memory();
        println!(
            "{minute:>6} {:>8} {:>9} {:>9} {:>9} {:>9} {:>5} % {:>5} % {undecided:>9}",
            short(megabytes(pss)),
            short(megabytes(private)),
            short(megabytes(of_review.pss)),
            short(megabytes(of_review.private)),
            short(quantile(&waited, 0.99)),
            short(busy("host")),
            short(busy("review")),
        );
        so_far = until_now;
    }
    boards.go();
    let Said::Moved { least, most_kb } = boards.hear() else { panic!("the boards should say what they saw") };
    println!("each board moved {least} times or more, {most_kb} KB at most");
    assert!(least as u64 > (minutes as u64 * MINUTE.as_secs()) / (10 * SECOND.as_secs()), "a board stood still");
}

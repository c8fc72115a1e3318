//! Replayed calls as a JUnit report: one suite per call, one case per thing that its recording expects.

use std::io::{self, Write};
use std::iter::{once, repeat};
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::again::Again;
use super::report::{Printer, Replayed};
use crate::recording::problem::RecordingError;

/// Gathers a JUnit report, which is printed at the end. Its times are how long the replays took; the rest is the same each
/// time.
#[derive(Debug)]
pub struct Junit {
    report: Report,
}

impl Default for Junit {
    fn default() -> Self {
        Self { report: Report::new("replay") }
    }
}

impl Junit {
    /// Prints what came of a journal: one suite of one case.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn journal(out: &mut dyn Write, file: &str, again: &Again, took: Duration) -> io::Result<()> {
        let mut suite = TestSuite::new(file);
        let status = match &again.difference {
            None => TestCaseStatus::success(),
            Some(difference) => failure(NonSuccessKind::Failure, &difference.to_string()),
        };
        add(&mut suite, file, "journal", status);
        suite.test_cases.iter_mut().for_each(|case| {
            case.set_time(took);
            if let Some(line) = again.cut {
                case.set_system_out(format!("{file} breaks off within line {line}, which is left out"));
            }
        });
        suite.set_time(took);
        let mut junit = Self::default();
        junit.report.add_test_suite(suite);
        junit.finish(out)
    }
}

impl Printer for Junit {
    fn call(&mut self, _out: &mut dyn Write, call: &Replayed) -> io::Result<()> {
        let mut suite = TestSuite::new(call.source.name.as_str());
        // A call that expects nothing still was replayed without an error.
        let named = call.source.recording.expectation.as_ref().map_or_else(|| vec!["replay"], |e| e.named());
        for field in named {
            let mismatch = call.mismatches.iter().find(|mismatch| mismatch.field == field);
            let status = match mismatch {
                None => TestCaseStatus::success(),
                Some(mismatch) => failure(NonSuccessKind::Failure, &mismatch.to_string()),
            };
            add(&mut suite, &call.source.name, field, status);
        }
        // The call is played once for all that it expects: its first case has the time, the others had none to take.
        for (case, took) in suite.test_cases.iter_mut().zip(once(call.took).chain(repeat(Duration::ZERO))) {
            case.set_time(took);
        }
        suite.set_time(call.took);
        self.report.add_test_suite(suite);
        Ok(())
    }

    fn bad(&mut self, _out: &mut dyn Write, error: &RecordingError) -> io::Result<()> {
        let mut suite = TestSuite::new(error.file.as_str());
        add(&mut suite, &error.file, "recording", failure(NonSuccessKind::Error, &error.to_string()));
        self.report.add_test_suite(suite);
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.report.serialize(out).map_err(io::Error::other)
    }
}

fn failure(kind: NonSuccessKind, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message);
    status
}

fn add(suite: &mut TestSuite, class: &str, name: &str, status: TestCaseStatus) {
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    suite.add_test_case(case);
}

//! Lines that lead a dialect through all that it reads and writes, without sockets: what the fuzz targets in `tests/fuzz` and the tests
//! of what chance makes drive. Not part of the library's interface.
//!
//! A line that is a message of ours in the native dialect's form is said; `cut` is a new connection. Any other is heard.

use std::collections::HashSet;

use serde_json::Value;

use super::link::dialect::{Answer, Dialect, Greeting, Heard, Received, Written};
use super::message::{FrameError, SidecarMessage};
use super::openai::OpenAi;
use super::twilio::tap::Tapped;
use super::twilio::{Handoff, Platform, Twilio};

/// A dialect under way.
struct Drive<D> {
    dialect: D,
    bad: Vec<FrameError>,
    called: HashSet<String>,
}

impl<D: Dialect> Drive<D> {
    fn new(dialect: D) -> Self {
        let mut drive = Self { dialect, bad: Vec::new(), called: HashSet::new() };
        drive.connect();
        drive
    }

    fn connect(&mut self) {
        let written = self.dialect.hello(Greeting { room_name: "rtc_1", resume: None });
        self.written(written);
    }

    fn heard(&mut self, heard: Vec<Heard>) {
        for heard in heard {
            match heard {
                Heard::Reply(written) => self.written(vec![written]),
                Heard::Bad { error, .. } => self.bad.push(error),
                Heard::Welcome(_) | Heard::Unacceptable { .. } | Heard::Message { .. } => {}
            }
        }
    }

    /// What goes out is JSON, and nobody is transferred twice for one command.
    fn written(&mut self, written: Vec<Written>) {
        for written in written {
            match written {
                Written::Text(text) => assert_object(&text),
                Written::Tapped(injection) => assert_object(&injection.text),
                Written::Call(call) => assert!(self.called.insert(call.id.clone()), "{} is asked for twice", call.id),
                Written::Binary(_) | Written::Livekit(_) => {}
            }
        }
    }

    /// Goes through the lines; returns what could not be read.
    fn through(mut self, bytes: &[u8], read: impl Fn(&mut D, &str) -> Vec<Heard>) -> Vec<FrameError> {
        for line in String::from_utf8_lossy(bytes).lines() {
            if line == "cut" {
                self.connect();
            } else if let Ok(message) = serde_json::from_str::<SidecarMessage>(line) {
                let written = self.dialect.write(&message).unwrap_or_default();
                self.written(written);
            } else {
                let heard = read(&mut self.dialect, line);
                self.heard(heard);
            }
        }
        let heard = self.dialect.ended();
        self.heard(heard);
        self.bad
    }
}

fn assert_object(text: &str) {
    let object = serde_json::from_str(text).is_ok_and(|value: Value| value.get("type").is_some_and(Value::is_string));
    assert!(object, "what is written is no message: {text}");
}

/// A call of OpenAI's Realtime API. A line is an event; `@ID STATUS` is the answer to a call of the API, and `@ID` that none came.
#[must_use]
pub fn realtime(bytes: &[u8]) -> Vec<FrameError> {
    let Ok(url) = "wss://api.openai.com/v1/realtime?call_id=rtc_1".parse() else { return Vec::new() };
    Drive::new(OpenAi::at(&url)).through(bytes, |openai, line| match line.strip_prefix('@') {
        Some(answered) => {
            let (id, status) = answered.split_once(' ').unwrap_or((answered, ""));
            let none = || Answer::None { problem: "no answer".to_owned() };
            let answer = status.parse().map_or_else(|_| none(), Answer::Status);
            openai.read(Received::Answered { id, answer: &answer })
        }
        None => openai.read(Received::Text(line)),
    })
}

/// What passes between a platform and its app. A line that begins with `<` is the platform's, with `>` the app's; JSON is both. Behind
/// `=` stands the status of a call that the platform made, and behind `+`, `-`, `(` and `)` the command whose message was said, came
/// too late, begins to be heard, and was heard.
#[must_use]
pub fn relayed(bytes: &[u8]) -> Vec<FrameError> {
    Drive::new(Twilio::new(Platform::Twilio, Handoff::default())).through(bytes, |twilio, line| {
        let mut chars = line.chars();
        let (first, rest) = (chars.next(), chars.as_str().to_owned());
        let tapped = match first {
            Some('<') => vec![Tapped::Platform(rest)],
            Some('>') => vec![Tapped::App(rest)],
            Some('{') => vec![Tapped::Platform(line.to_owned()), Tapped::App(line.to_owned())],
            Some('=') => vec![Tapped::Dialled(rest)],
            Some('+') => vec![Tapped::Injected(rest)],
            Some('-') => vec![Tapped::Expired(rest)],
            Some('(') => vec![Tapped::Begun(rest)],
            Some(')') => vec![Tapped::Played(rest)],
            _ => vec![Tapped::Unread, Tapped::Missed(1)],
        };
        tapped.iter().flat_map(|tapped| twilio.read(Received::Tapped(tapped))).collect()
    })
}

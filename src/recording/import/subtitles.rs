//! WebVTT and SubRip: cues with times, and speakers in voice tags, in `Name:` or in `[SPEAKER_00]:`; Teams also has cues
//! that are JSON.

use std::borrow::Cow;

use super::call::{Call, Fault};
use super::json;
use super::labels::{Label, Names, is_name, is_proper, label};
use super::times::clock;

pub(super) fn looks_vtt(text: &str) -> bool {
    text.trim_start().starts_with("WEBVTT")
}

pub(super) fn looks_srt(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let second = lines.next().unwrap_or_default();
    is_timing(first) || (first.bytes().all(|b| b.is_ascii_digit()) && is_timing(second))
}

/// Whether a line is the times of a cue and how it is shown: with words after them it is a line of text.
fn is_timing(line: &str) -> bool {
    let is_setting = |word: &str| word.split_once(':').is_some_and(|(key, value)| !key.is_empty() && !value.is_empty());
    let after = line.split_once("-->").map_or("", |(_, after)| after);
    timing(line).is_some() && after.split_whitespace().skip(1).all(is_setting)
}

#[derive(Debug, Default)]
struct Cue<'a> {
    start: i64,
    end: i64,
    /// The speaker, where the cue's first line was nothing else.
    head: Option<&'a str>,
    lines: Vec<&'a str>,
}

pub(super) fn read(text: &str) -> Result<Vec<Call>, Fault> {
    let rolls = text.contains("-->")
        && text.split('<').any(|part| part.split_once('>').is_some_and(|(tag, _)| clock(tag).is_some()));
    let mut cues = cues(text);
    if cues.is_empty() {
        return Err(Fault::new("", "has no cues; each begins with a line such as 00:00:01.000 --> 00:00:02.500"));
    }
    if rolls {
        unroll(&mut cues);
    }
    // A name on the first line of each cue, as documents have it.
    let is_headed = |cue: &Cue<'_>| {
        let name = cue.lines.first().copied().unwrap_or_default();
        cue.lines.len() > 1 && is_name(name) && is_proper(name) && !name.ends_with(':')
    };
    if cues.len() > 1 && cues.iter().all(is_headed) {
        for cue in &mut cues {
            cue.head = Some(cue.lines.remove(0));
        }
    }
    let mut names = Names::counting();
    for line in cues.iter().filter_map(|cue| cue.lines.first()) {
        names.count_in(label(&stripped(line)));
    }
    let names = names.names();
    let mut call = Call::default();
    for cue in cues {
        if let Some((name, text)) = spoken(&cue) {
            let speaker = name.map(|name| call.speaker(&name, None));
            call.say(speaker, &text, Some(cue.start), Some(cue.end));
            continue;
        }
        for voice in voices(&cue, &names) {
            let (name, text) = match (voice.name, label(&voice.text)) {
                (Some(name), _) => (Some(name), voice.text.as_str()),
                (None, Some(Label { name, rest, .. })) if names.has(name) => (Some(name.to_owned()), rest),
                _ => (None, voice.text.as_str()),
            };
            let speaker = name.map(|name| call.speaker(&name, None));
            call.say(speaker, text, Some(cue.start), Some(cue.end));
        }
    }
    Ok(vec![call])
}

fn timing(line: &str) -> Option<(i64, i64)> {
    let (start, end) = line.split_once("-->")?;
    let end = end.split_whitespace().next()?;
    Some((clock(start.trim())?, clock(end)?))
}

/// Cues line by line: a blank line ends one, and so does the next one's time.
fn cues(text: &str) -> Vec<Cue<'_>> {
    let mut cues: Vec<Cue<'_>> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if let Some((start, end)) = timing(line) {
            cues.push(Cue { start, end, head: None, lines: Vec::new() });
            open = true;
        } else if line.trim().is_empty() {
            // A cue whose text has not begun yet may have a blank before it.
            open = false;
        } else if open && let Some(cue) = cues.last_mut() {
            // Hardly a cue has more than one.
            cue.lines.reserve_exact(1);
            cue.lines.push(line.trim());
        }
    }
    cues
}

/// Captions that roll up say each line again until it is gone.
fn unroll(cues: &mut [Cue<'_>]) {
    let mut shown: Vec<String> = Vec::new();
    for cue in cues {
        let now: Vec<String> = cue.lines.iter().map(|line| stripped(line)).filter(|line| !line.is_empty()).collect();
        cue.lines.retain(|line| {
            let plain = stripped(line);
            !plain.is_empty() && !shown.contains(&plain)
        });
        shown = now;
    }
}

/// Who says what in a cue of Teams' with metadata: `{"speakerName":…,"spokenText":…}`.
fn spoken(cue: &Cue<'_>) -> Option<(Option<String>, String)> {
    let first = cue.lines.first().filter(|line| line.starts_with('{'))?;
    let whole = if cue.lines.len() == 1 { Cow::Borrowed(*first) } else { Cow::Owned(cue.lines.join(" ")) };
    let told = json::parse(whole.as_bytes()).ok()?;
    Some((told.get("speakerName").name(), told.get("spokenText").text()?.to_owned()))
}

struct Voice {
    name: Option<String>,
    text: String,
}

/// Who says what in a cue: voice tags, else lines that a dash or a known name begins, else all of it.
fn voices(cue: &Cue<'_>, names: &Names) -> Vec<Voice> {
    let text = cue.lines.join(" ");
    let mut voices: Vec<Voice> = Vec::new();
    if let Some(name) = cue.head {
        return vec![Voice { name: Some(entities(name)), text: stripped(&text) }];
    }
    if !text.contains("<v") {
        for line in &cue.lines {
            let plain = stripped(line);
            let begins = has_dash(line) || label(&plain).is_some_and(|label| names.has(label.name));
            match voices.last_mut().filter(|_| !begins) {
                Some(voice) => voice.text = format!("{} {plain}", voice.text).trim().to_owned(),
                None => voices.push(Voice { name: None, text: plain }),
            }
        }
        voices.retain(|voice| !voice.text.is_empty());
        return voices;
    }
    let mut parts = text.split("<v");
    let before = stripped(parts.next().unwrap_or_default());
    if !before.is_empty() {
        voices.push(Voice { name: None, text: before });
    }
    for part in parts {
        // `<v.loud Name>`, `<v Name>`; anything else was no voice tag.
        let (tag, said) = part.split_once('>').unwrap_or(("", part));
        let name = tag.split_once(char::is_whitespace).map(|(_, name)| entities(name.trim()));
        voices.push(Voice { name: name.filter(|name| !name.is_empty()), text: stripped(said) });
    }
    voices
}

/// Text without tags, its entities resolved.
fn stripped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('<') {
        plain.push_str(before);
        match from.split_once('>').filter(|(tag, _)| is_tag(tag)) {
            Some((_, after)) => rest = after,
            None => {
                plain.push('<');
                rest = from;
            }
        }
    }
    plain.push_str(rest);
    let plain = entities(plain.trim());
    if has_dash(&plain) { plain.trim_start_matches(DASHES).trim_start().to_owned() } else { plain }
}

/// Signs that begin a line when somebody else speaks.
const DASHES: [char; 4] = ['-', '–', '—', '>'];

fn has_dash(line: &str) -> bool {
    let after = line.trim_start_matches(DASHES);
    after.len() < line.len() && after.starts_with(|c: char| c == ' ' || c.is_alphabetic())
}

fn is_tag(tag: &str) -> bool {
    let name = tag.trim_start_matches('/');
    let known = ["b", "i", "u", "c", "v", "ruby", "rt", "lang", "font"];
    clock(tag).is_some() || known.contains(&name.split(['.', ' ']).next().unwrap_or_default())
}

pub(super) fn entities(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    let named = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&nbsp;", " "),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        ("&lrm;", ""),
        ("&rlm;", ""),
    ];
    let text = named.iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain));
    text.replace("&amp;", "&")
}

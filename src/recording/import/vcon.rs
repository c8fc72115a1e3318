//! vCon (draft-ietf-vcon-vcon-core): conversations in a container.
//!
//! Texts are `dialog[]` entries of type `text`; where there are none, the words are in `analysis[]`: our own kind of
//! list, a whole answer of a recogniser, or a text. A speaker is the entry's `originator`, else the first index in its
//! `parties`. The standard has no roles, but many write `role` or `meta.role`. A signed vCon (JWS) is unwrapped without
//! checking its signature; an encrypted one (JWE) cannot be read.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::call::{Call, Fault, Speaker};
use super::formats::inner_calls;
use super::json::{self, Json};
use super::roles::party;
use super::times::{moment, seconds};
use super::{plain, rows, strings, subtitles};

pub(super) fn looks(value: &Json) -> bool {
    let is_vcon = value.get("parties").is_list() && (value.get("dialog").is_list() || value.get("analysis").is_list());
    is_vcon || (value.has("vcon") && value.has("uuid")) || is_signed(value) || is_encrypted(value)
}

fn is_signed(value: &Json) -> bool {
    value.get("payload").text().is_some() && (value.has("signatures") || value.has("signature"))
}

fn is_encrypted(value: &Json) -> bool {
    value.get("ciphertext").text().is_some()
}

const ENCRYPTED: &str = "is encrypted (JWE), and this program holds no keys; decrypt it first";

pub(super) fn read(value: &Json) -> Result<Vec<Call>, Fault> {
    if is_encrypted(value) {
        return Err(Fault::new("ciphertext", ENCRYPTED));
    }
    if is_signed(value) {
        let payload = value.get("payload").text().unwrap_or_default();
        let inner = unwrapped(payload).map_err(|problem| Fault::new("payload", problem))?;
        return read(&inner).map_err(|fault| Fault::new(format!("payload.{}", fault.path), fault.problem));
    }
    let mut call = Call { id: value.get("uuid").name(), ..Call::default() };
    call.speakers = value.get("parties").list().iter().enumerate().map(speaker).collect();
    call.began = value.get("dialog").list().iter().filter_map(start).min();
    let began = call.began.unwrap_or(0);
    for (at, dialog) in value.get("dialog").list().iter().enumerate() {
        say_dialog(&mut call, dialog, began).map_err(|problem| Fault::new(format!("dialog[{at}].body"), problem))?;
    }
    if call.pieces.is_empty() {
        say_analyses(&mut call, value, began)?;
    }
    if call.pieces.is_empty() {
        let problem = "has neither text dialogs nor a transcript analysis; transcribe its recordings first";
        return Err(Fault::new("analysis", problem));
    }
    Ok(vec![call])
}

/// The vCon in a JWS; a payload may be packed as well.
fn unwrapped(payload: &str) -> Result<Json, String> {
    let bytes = decoded(payload)?;
    let mut text = Vec::new();
    super::bytes::open(bytes.as_slice())
        .and_then(|mut opened| std::io::Read::read_to_end(&mut opened.input, &mut text))
        .map_err(|error| format!("cannot be unpacked: {error}"))?;
    let value = json::parse(&text).map_err(|_| "holds no JSON; a signed vCon's payload is a vCon".to_owned())?;
    if is_signed(&value) { Err("holds another signed document; unwrap it first".to_owned()) } else { Ok(value) }
}

fn decoded(text: &str) -> Result<Vec<u8>, String> {
    let plain: String = text.chars().filter(|c| !c.is_whitespace() && *c != '=').collect();
    // Some write the standard alphabet.
    let plain = plain.replace('+', "-").replace('/', "_");
    URL_SAFE_NO_PAD.decode(plain).map_err(|error| format!("is not base64url: {error}"))
}

fn speaker((at, party_object): (usize, &Json)) -> Speaker {
    let known = ["role", "type"].iter().find_map(|key| party(party_object.get(key).text()?));
    let known = known.or_else(|| party(party_object.at(&["meta", "role"]).text()?));
    let names = ["name", "tel", "mailto", "sip", "id"].iter().filter_map(|key| party_object.get(key).name());
    let mut speaker = Speaker { names: Vec::new(), party: known };
    for name in names.chain([at.to_string()]) {
        if !speaker.names.contains(&name) {
            speaker.names.push(name);
        }
    }
    speaker
}

fn start(dialog: &Json) -> Option<i64> {
    moment(dialog.get("start").text()?).or_else(|| dialog.get("start").number().map(|unix| (unix * 1000.0) as i64))
}

fn say_dialog(call: &mut Call, dialog: &Json, began: i64) -> Result<(), String> {
    let kind = dialog.get("type").text().unwrap_or("text");
    let media = dialog.any(&["mediatype", "mimetype"]).text().unwrap_or("text/plain");
    if kind != "text" || !media.starts_with("text/") || dialog.get("body").is_null() {
        return Ok(());
    }
    let body = body(dialog)?;
    let text = match &body {
        Json::Text(text) if media.starts_with("text/html") => without_tags(text),
        Json::Text(text) => text.clone(),
        // A message as an object, as chats have it.
        other => super::messages::content(other.any(&["text", "content", "message"])),
    };
    let begin = start(dialog).map(|at| at - began);
    // One entry may hold the whole conversation.
    if plain::looks(&text) && text.lines().count() > 1 && originator(dialog).is_none() {
        for inner in plain::read(&text).map_err(|fault| fault.problem)? {
            merge(call, inner, 0);
        }
        return Ok(());
    }
    let speaker = originator(dialog).or_else(|| index(dialog.get("parties"))).filter(|at| *at < call.speakers.len());
    let end = begin.zip(seconds(dialog.get("duration"))).map(|(begin, long)| begin + long);
    call.say(speaker, &text, begin, end);
    Ok(())
}

fn originator(dialog: &Json) -> Option<usize> {
    index(dialog.get("originator"))
}

/// The first index in a number, an array, or arrays in it.
fn index(value: &Json) -> Option<usize> {
    match value {
        Json::Number(at) if at.fract() == 0.0 && (0.0..1e6).contains(at) => Some(*at as usize),
        Json::List(list) => list.iter().find_map(index),
        _ => None,
    }
}

/// The content of a `body`, in whichever encoding it says, or turns out to be.
fn body(holder: &Json) -> Result<Json, String> {
    let body = holder.get("body");
    let Some(text) = body.text() else { return Ok(body.clone()) };
    let bytes = match holder.get("encoding").text() {
        Some("base64url" | "base64") => decoded(text)?,
        _ => text.as_bytes().to_vec(),
    };
    // Text that is JSON is meant as JSON, whatever the encoding says.
    let is_json = bytes.first().is_some_and(|first| matches!(first, b'{' | b'['));
    match json::parse(&bytes) {
        Ok(value) if is_json || holder.get("encoding").text() == Some("json") => Ok(value),
        _ => Ok(Json::Text(super::bytes::text(&bytes).into_owned())),
    }
}

fn without_tags(html: &str) -> String {
    let parts = html.split('<').enumerate();
    let text: Vec<&str> = parts
        .map(|(at, part)| if at == 0 { part } else { part.split_once('>').map_or("", |(_, text)| text) })
        .collect();
    subtitles::entities(&text.join(" "))
}

/// Kinds of analyses that hold a transcript, the one with the most in it first where they tell as many voices apart.
const TRANSCRIPTS: [&str; 4] = ["wtf_transcription", "transcript", "transcription", "diarized"];

fn say_analyses(call: &mut Call, value: &Json, began: i64) -> Result<(), Fault> {
    // Of each dialog the transcript that tells most voices apart; the first of equals.
    let mut best: Vec<(Option<usize>, usize, Vec<Call>)> = Vec::new();
    let mut wrong = None;
    for kind in TRANSCRIPTS {
        for (at, analysis) in value.get("analysis").list().iter().enumerate() {
            if analysis.get("type").text() != Some(kind) {
                continue;
            }
            let calls = match analysed(analysis, at) {
                Ok(calls) => calls,
                Err(fault) => {
                    wrong = wrong.or(Some(fault));
                    continue;
                }
            };
            let (dialog, voices) = (index(analysis.get("dialog")), calls.iter().map(voices).max());
            match (best.iter_mut().find(|(of, ..)| *of == dialog), voices) {
                (_, None) => {}
                (Some((_, most, kept)), Some(voices)) if voices > *most => (*most, *kept) = (voices, calls),
                (Some(_), _) => {}
                (None, Some(voices)) => best.push((dialog, voices, calls)),
            }
        }
    }
    match wrong {
        Some(fault) if best.is_empty() => return Err(fault),
        _ => {}
    }
    for (dialog, _, calls) in best {
        let recorded = dialog.and_then(|at| value.get("dialog").list().get(at)).and_then(start);
        let offset = recorded.map_or(0, |start| start - began);
        calls.into_iter().for_each(|inner| merge(call, inner, offset));
    }
    Ok(())
}

/// What an analysis has of words.
fn analysed(analysis: &Json, at: usize) -> Result<Vec<Call>, Fault> {
    let body = body(analysis).map_err(|problem| Fault::new(format!("analysis[{at}].body"), problem))?;
    let mut calls =
        transcript(&body).map_err(|fault| Fault::new(format!("analysis[{at}].body.{}", fault.path), fault.problem))?;
    calls.retain(|call| call.pieces.iter().any(|piece| !piece.text.trim().is_empty()));
    Ok(calls)
}

/// How many voices are heard in a call.
fn voices(call: &Call) -> usize {
    call.pieces.iter().filter_map(|piece| piece.speaker).collect::<BTreeSet<_>>().len()
}

/// A transcript in an analysis, in whichever form.
fn transcript(body: &Json) -> Result<Vec<Call>, Fault> {
    match body {
        Json::Text(text) if subtitles::looks_vtt(text) || subtitles::looks_srt(text) => subtitles::read(text),
        Json::Text(text) if plain::looks(text) => plain::read(text),
        Json::Text(text) => Ok(vec![plain::unlabelled(text)]),
        Json::List(_) if strings::looks(body) => strings::read(std::slice::from_ref(body)),
        Json::List(_) if rows::looks(body) => rows::read(std::slice::from_ref(body)),
        Json::List(parts) => {
            let mut calls = Vec::new();
            for part in parts {
                calls.extend(transcript(part)?);
            }
            Ok(calls)
        }
        Json::Object(_) => match inner_calls(body) {
            Some(calls) => calls,
            None => {
                let inner = body.any(&[
                    "transcript",
                    "transcription",
                    "text",
                    "utterances",
                    "segments",
                    "messages",
                    "results",
                    "turns",
                ]);
                if inner.is_null() { Ok(Vec::new()) } else { transcript(inner) }
            }
        },
        _ => Ok(Vec::new()),
    }
}

/// Adds another call's pieces, later by `offset`. A speaker of it who is named as a party is that party.
fn merge(call: &mut Call, inner: Call, offset: i64) {
    let mut speakers = Vec::with_capacity(inner.speakers.len());
    for speaker in inner.speakers {
        let same = |name: &String| {
            call.speakers.iter().position(|one| one.names.iter().any(|own| own.eq_ignore_ascii_case(name)))
        };
        // A number alone is the recogniser's own, and no party's index.
        let named = speaker.names.iter().filter(|name| name.parse::<f64>().is_err()).find_map(same);
        let at = named.unwrap_or_else(|| {
            call.speakers.push(Speaker { names: speaker.names, party: None });
            call.speakers.len() - 1
        });
        call.speakers[at].party = call.speakers[at].party.or(speaker.party);
        speakers.push(at);
    }
    let moved = |at: Option<i64>| at.map(|at| at.saturating_add(offset));
    for piece in inner.pieces {
        let speaker = piece.speaker.and_then(|at| speakers.get(at)).copied();
        call.say(speaker, &piece.text, moved(piece.start), moved(piece.end));
    }
    call.warnings.extend(inner.warnings);
}

/// A JWS or JWE in its compact form: three or five parts in one line.
pub(super) fn looks_compact(text: &str) -> bool {
    let line = text.trim_start().lines().next().unwrap_or_default().trim();
    // `{"` in base64url.
    line.starts_with("eyJ") && !line.contains(char::is_whitespace) && line.contains('.')
}

pub(super) fn read_compact(text: &str) -> Result<Vec<Call>, Fault> {
    let parts: Vec<&str> = text.trim().split('.').collect();
    match parts.as_slice() {
        [_, payload, _] => read(&unwrapped(payload).map_err(|problem| Fault::new("payload", problem))?),
        [_, _, _, _, _] => Err(Fault::new("", ENCRYPTED)),
        _ => Err(Fault::new("", "begins as a signed document does, but has not three parts")),
    }
}

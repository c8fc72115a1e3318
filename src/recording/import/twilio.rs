//! Twilio Conversational Intelligence: pages of `sentences[]`, or these alone, in seconds as strings or numbers. Who is on
//! which channel stands in another answer, the transcript itself; a file may hold that as well.

use super::call::{Call, Fault, Party};
use super::json::Json;
use super::roles::party;
use super::times::seconds;

pub(super) fn looks(value: &Json) -> bool {
    is_sentences(value) || is_transcript(value) || is_sentence(value)
}

/// A sentence of a bare list, as the libraries print one.
fn is_sentence(value: &Json) -> bool {
    !value.any(&["media_channel", "mediaChannel"]).is_null() && value.get("transcript").text().is_some()
}

fn is_sentences(value: &Json) -> bool {
    let sentences = value.get("sentences");
    sentences.is_list() && (value.has("meta") || is_sentence(sentences.first()))
}

fn is_transcript(value: &Json) -> bool {
    value.get("sid").text().is_some_and(|sid| sid.starts_with("GT")) && value.has("channel")
}

pub(super) fn is_page(value: &Json) -> bool {
    looks(value)
}

/// The transcript that a page belongs to: `…/Transcripts/GT…/Sentences?…`.
fn transcript_of(page: &Json) -> Option<&str> {
    let url = page.get("meta").any(&["url", "first_page_url"]).text()?;
    url.split(['/', '?']).find(|part| part.starts_with("GT"))
}

pub(super) fn read(pages: &[Json]) -> Result<Vec<Call>, Fault> {
    let mut calls: Vec<Call> = Vec::new();
    for page in pages.iter().filter(|page| is_sentences(page)) {
        let id = transcript_of(page).map(str::to_owned);
        let at = calls.iter().position(|call| call.id == id).unwrap_or_else(|| {
            calls.push(Call { id: id.clone(), ..Call::default() });
            calls.len() - 1
        });
        let described = pages.iter().find(|one| is_transcript(one) && one.get("sid").name() == id);
        let sentences = page.get("sentences").list().iter();
        say_sentences(&mut calls[at], sentences, described.unwrap_or(&Json::Null));
        let more = page.at(&["meta", "next_page_url"]).text();
        let comes = |next: &str| pages.iter().any(|one| one.at(&["meta", "url"]).text() == Some(next));
        if let Some(next) = more.filter(|next| !comes(next)) {
            calls[at].warnings.push(format!("it goes on at {next}, which is not in the file"));
        }
    }
    // Sentences of a bare list name no transcript.
    let loose = pages.iter().flat_map(|page| if page.is_list() { page.list() } else { std::slice::from_ref(page) });
    let loose: Vec<&Json> = loose.filter(|one| is_sentence(one)).collect();
    if !loose.is_empty() {
        let mut call = Call::default();
        let mut described = pages.iter().filter(|one| is_transcript(one));
        let described = described.next().filter(|_| described.next().is_none());
        say_sentences(&mut call, loose.into_iter(), described.unwrap_or(&Json::Null));
        calls.push(call);
    }
    if calls.is_empty() {
        let problem = "is missing: this describes a transcript without its words; fetch its …/Sentences";
        return Err(Fault::new("sentences", problem));
    }
    for call in &mut calls {
        // Their own numbers go before the file's order where there are no times.
        if call.pieces.iter().all(|piece| piece.start.is_none()) {
            continue;
        }
        call.pieces.sort_by_key(|piece| piece.start);
    }
    Ok(calls)
}

fn say_sentences<'a>(call: &mut Call, sentences: impl Iterator<Item = &'a Json>, described: &Json) {
    let mut sentences: Vec<&Json> = sentences.collect();
    let index = |sentence: &&Json| {
        sentence.any(&["sentence_index", "sentenceIndex"]).number().map_or(u64::MAX, |index| index as u64)
    };
    sentences.sort_by_key(index);
    for sentence in sentences {
        let Some(text) = sentence.get("transcript").text() else { continue };
        let channel = sentence.any(&["media_channel", "mediaChannel"]).name();
        let speaker = channel.map(|channel| {
            let party = party_on(described, &channel);
            call.speaker(&format!("channel {channel}"), party)
        });
        let time = |names: [&str; 2]| seconds(sentence.any(&names));
        call.say(speaker, text, time(["start_time", "startTime"]), time(["end_time", "endTime"]));
    }
}

fn party_on(described: &Json, channel: &str) -> Option<Party> {
    let participants = described.at(&["channel", "participants"]).list();
    let one = participants.iter().find(|one| one.get("channel_participant").name().as_deref() == Some(channel))?;
    party(one.get("role").text()?)
}

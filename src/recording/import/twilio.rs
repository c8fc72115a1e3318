//! Twilio Conversational Intelligence: pages of `sentences[]`, in seconds as strings or numbers. Who is on which channel
//! stands in another answer, the transcript itself; a file may hold that as well.

use super::call::{Call, Fault, Party};
use super::json::Json;
use super::roles::party;
use super::times::seconds;

pub(super) fn looks(value: &Json) -> bool {
    is_sentences(value) || is_transcript(value)
}

fn is_sentences(value: &Json) -> bool {
    let sentences = value.get("sentences");
    sentences.is_list() && (value.has("meta") || sentences.first().has("media_channel"))
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
        say_page(&mut calls[at], page, described.unwrap_or(&Json::Null));
        let more = page.at(&["meta", "next_page_url"]).text();
        let comes = |next: &str| pages.iter().any(|one| one.at(&["meta", "url"]).text() == Some(next));
        if let Some(next) = more.filter(|next| !comes(next)) {
            calls[at].warnings.push(format!("it goes on at {next}, which is not in the file"));
        }
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

fn say_page(call: &mut Call, page: &Json, described: &Json) {
    let mut sentences: Vec<&Json> = page.get("sentences").list().iter().collect();
    let index = |sentence: &&Json| sentence.get("sentence_index").number().map_or(u64::MAX, |index| index as u64);
    sentences.sort_by_key(index);
    for sentence in sentences {
        let Some(text) = sentence.get("transcript").text() else { continue };
        let channel = sentence.get("media_channel").name();
        let speaker = channel.map(|channel| {
            let party = party_on(described, &channel);
            call.speaker(&format!("channel {channel}"), party)
        });
        call.say(speaker, text, seconds(sentence.get("start_time")), seconds(sentence.get("end_time")));
    }
}

fn party_on(described: &Json, channel: &str) -> Option<Party> {
    let participants = described.at(&["channel", "participants"]).list();
    let one = participants.iter().find(|one| one.get("channel_participant").name().as_deref() == Some(channel))?;
    party(one.get("role").text()?)
}

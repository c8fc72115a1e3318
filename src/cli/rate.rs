//! `rate`: lines or JSON lines in, one JSON line per line out, in order.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufWriter, Write};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::exit::{Exit, Failure};
use super::raters::{Asks, CassetteArgs, answered_some, asked};
use super::settings_args::SourceArgs;
use crate::sentiment::{
    ContextTurn, Cue, Label, RateError, Rater, Rating, RatingSource, Sentiment, Speaker, TurnInContext, Unit, Valence,
};
use crate::telemetry::shown::json_line;

/// The longest line that is read; what is longer is an error for that line, so that memory stays constant.
const MAX_LINE: usize = 1024 * 1024;

/// Rate what stdin says, line by line.
///
/// A line is plain text, or an object `{"text":…}` with, where known, the call's earlier turns
/// `"earlier":[{"speaker":"caller"|"agent","text":…}]` and `"lang"`. Each input line gives one JSON line, in order and
/// at once. A line that cannot be read gives `{"error":…,"line":…}`, and the exit code is then 5.
///
/// With llmUrl set, the LLM is asked about every line that is no filler and its answer is awaited, however long
/// llmDeadlineMs is; ratings that it had a part in say `"source":"blend"`, or `"llm"` where it rated alone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  echo 'how do i reset my password' | sentiment-sidecar rate
  sentiment-sidecar rate --context < call.txt
  sentiment-sidecar rate --set llmUrl=https://host/v1 < call.txt

Exit codes: 0 every line was rated, 1 the LLM answered about no line, 2 usage,
5 a line could not be read or rated, 6 a setting is wrong.")]
pub struct RateArgs {
    /// Take the lines as one call: each is rated in the light of those before it.
    #[arg(long)]
    context: bool,

    #[command(flatten)]
    cassette: CassetteArgs,

    #[command(flatten)]
    sources: SourceArgs,
}

/// An input line as JSON.
#[derive(Debug, Deserialize)]
struct Asked {
    text: String,
    #[serde(default)]
    lang: Option<String>,
    #[serde(default)]
    earlier: Option<Vec<ContextTurn>>,
}

/// An output line; the fields and their order are a contract.
#[derive(Debug, Serialize)]
struct Rated<'a> {
    text: &'a str,
    sentiment: Sentiment,
    valence: Valence,
    frustration: Unit,
    urgency: Unit,
    label: Label,
    confidence: Unit,
    filler: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    asks_human: bool,
    cues: &'a [Cue],
    #[serde(skip_serializing_if = "RatingSource::is_embedded")]
    source: RatingSource,
}

/// An output line for an input line that could not be rated.
#[derive(Debug, Serialize)]
struct Refused {
    error: String,
    line: u64,
}

/// Runs `rate` on stdin and stdout.
///
/// # Errors
/// [`Exit::BadRecording`] when a line could not be read or rated, after all others were; [`Exit::Other`] when stdin or
/// stdout fails; [`Exit::BadSettings`] for a wrong setting. A reader that goes away ends it quietly.
pub async fn run(args: RateArgs) -> Result<Exit, Failure> {
    let settings = args.sources.load()?.settings;
    let raters = args.cassette.unhurried(Asks::WhereSet)?;
    let rater = raters.of(&settings)?;
    // Nothing else runs in this process, so blocking reads hold up nobody.
    let (input, output) = (io::stdin().lock(), BufWriter::new(io::stdout().lock()));
    let rated = filter(rater.as_ref(), args.context, input, output).await;
    if let Some(said) = asked(&raters)? {
        anstream::eprintln!("{said}");
    }
    match rated {
        Ok(0) => answered_some(&raters).map(|()| Exit::Ok),
        Ok(bad) => Err(Failure::new(Exit::BadRecording, format!("{bad} of the lines could not be rated"))
            .help("each has an output line with `error` and `line`; the others were rated")),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Ok),
        Err(error) => Err(error.into()),
    }
}

/// Rates every line, and counts those that could not be.
async fn filter(rater: &dyn Rater, one_call: bool, mut input: impl BufRead, mut output: impl Write) -> io::Result<u64> {
    let (mut bad, mut number) = (0, 0);
    let mut call: VecDeque<ContextTurn> = VecDeque::new();
    while let Some(line) = next_line(&mut input)? {
        number += 1;
        match rate_line(rater, one_call.then_some(&mut call), line).await {
            Ok((text, rating)) => write_line(&mut output, &rated(&text, &rating))?,
            Err(error) => {
                bad += 1;
                write_line(&mut output, &Refused { error: format!("line {number}: {error}"), line: number })?;
            }
        }
        output.flush()?;
    }
    Ok(bad)
}

/// What can be wrong with one line.
#[derive(Debug, thiserror::Error)]
enum BadLine {
    #[error("longer than {MAX_LINE} bytes")]
    TooLong,
    #[error("not UTF-8: {0}")]
    NotUtf8(#[from] std::str::Utf8Error),
    #[error("not a turn as JSON, which is {{\"text\":…}} with optional `earlier` and `lang`: {0}")]
    NotATurn(#[from] serde_json::Error),
    #[error(transparent)]
    Unrated(#[from] RateError),
}

/// Rates one line; with `call`, in the light of the lines before, which it then joins.
async fn rate_line(
    rater: &dyn Rater,
    call: Option<&mut VecDeque<ContextTurn>>,
    line: Result<Vec<u8>, BadLine>,
) -> Result<(String, Rating), BadLine> {
    let line = line?;
    let asked = read(std::str::from_utf8(&line)?)?;
    let earlier = match (asked.earlier, &call) {
        (Some(earlier), _) => earlier,
        (None, Some(call)) => call.iter().cloned().collect(),
        (None, None) => Vec::new(),
    };
    let turn = TurnInContext { text: asked.text, lang: asked.lang, earlier };
    let rating = rater.rate(&turn).await?;
    if let Some(call) = call {
        let sentiment = rating.by_embedded();
        call.push_back(ContextTurn { speaker: Speaker::Caller, text: turn.text.clone(), sentiment });
        if call.len() > TurnInContext::MAX_EARLIER {
            call.pop_front();
        }
    }
    Ok((turn.text, rating))
}

/// A line that starts like an object is JSON; any other is plain text.
fn read(line: &str) -> Result<Asked, serde_json::Error> {
    if line.trim_start().starts_with('{') {
        return serde_json::from_str(line);
    }
    Ok(Asked { text: line.to_owned(), lang: None, earlier: None })
}

fn rated<'a>(text: &'a str, rating: &'a Rating) -> Rated<'a> {
    let Rating {
        sentiment,
        valence,
        frustration,
        urgency,
        label,
        confidence,
        filler,
        asks_human,
        ref cues,
        source,
        ..
    } = *rating;
    Rated { text, sentiment, valence, frustration, urgency, label, confidence, filler, asks_human, cues, source }
}

fn write_line(output: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    output.write_all(json_line(line)?.as_bytes())
}

/// The next line without its end; `None` at the end of input. Reads no more than [`MAX_LINE`] into memory.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Result<Vec<u8>, BadLine>>> {
    let mut line = Vec::new();
    let (mut any, mut too_long) = (false, false);
    loop {
        let ready = input.fill_buf()?;
        if ready.is_empty() {
            break;
        }
        any = true;
        let end = ready.iter().position(|&byte| byte == b'\n');
        let part = &ready[..end.unwrap_or(ready.len())];
        too_long |= line.len() + part.len() > MAX_LINE;
        if too_long {
            line.clear()
        } else {
            line.extend_from_slice(part)
        }
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            break;
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(any.then_some(if too_long { Err(BadLine::TooLong) } else { Ok(line) }))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use serde_json::Value;

    use super::*;
    use crate::sentiment::embedded;

    fn run_filter(one_call: bool, input: &[u8]) -> (u64, Vec<Value>) {
        let mut output = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bad = runtime.block_on(filter(&embedded(), one_call, input, &mut output)).unwrap();
        let lines = String::from_utf8(output).unwrap();
        (bad, lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    #[test]
    fn each_line_gives_one_line_with_the_promised_fields_in_order() {
        let mut output = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(filter(&embedded(), false, &b"you people are useless\n"[..], &mut output)).unwrap();
        let line = String::from_utf8(output).unwrap();
        let fields =
            ["text", "sentiment", "valence", "frustration", "urgency", "label", "confidence", "filler", "cues"];
        let places: Vec<usize> = fields.iter().map(|field| line.find(&format!("\"{field}\":")).unwrap()).collect();
        assert!(places.is_sorted(), "{line}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap().as_object().unwrap().len(), fields.len());
    }

    #[test]
    fn bad_lines_are_named_and_lose_no_others() {
        let (bad, lines) = run_filter(false, b"hello\n{\"text\":\n\xff\xfe\n{\"text\":\"my card was stolen\"}");
        assert_eq!((bad, lines.len()), (2, 4));
        assert!(lines[1]["error"].as_str().unwrap().starts_with("line 2: not a turn as JSON"), "{}", lines[1]);
        assert!(lines[2]["error"].as_str().unwrap().starts_with("line 3: not UTF-8"), "{}", lines[2]);
        assert_eq!(lines[3]["text"], "my card was stolen");
    }

    #[test]
    fn empty_lines_and_dos_line_ends_are_rated() {
        let (bad, lines) = run_filter(false, b"\r\n\nyes\r\n");
        assert_eq!((bad, lines.len()), (0, 3));
        assert!(lines.iter().all(|line| line["filler"] == true && line["sentiment"] == 5.0), "{lines:?}");
        assert_eq!(lines[2]["text"], "yes");
    }

    #[test]
    fn an_endless_line_is_refused_without_keeping_it() {
        let mut input = vec![b'a'; MAX_LINE + 1];
        input.extend_from_slice(b"\nthank you so much\n");
        let (bad, lines) = run_filter(false, &input);
        assert_eq!((bad, lines.len()), (1, 2));
        assert_eq!(lines[1]["label"], "positive");
    }

    #[test]
    fn with_context_the_lines_are_one_call() {
        let call = b"you people are useless\nnobody at your company seems to care\ni was at home the whole day\n";
        let (_, alone) = run_filter(false, call);
        let (_, one_call) = run_filter(true, call);
        assert_eq!(alone[0], one_call[0]);
        let sentiment = |lines: &[Value]| lines[2]["sentiment"].as_f64().unwrap();
        assert!(sentiment(&one_call) < sentiment(&alone) - 0.5, "{one_call:?}");
    }

    #[test]
    fn earlier_turns_of_a_json_line_are_its_context() {
        let earlier = r#"[{"speaker":"caller","text":"you people are useless"},{"speaker":"agent","text":"sorry"}]"#;
        let input = format!(
            "{{\"text\":\"i was at home the whole day\",\"earlier\":{earlier}}}\ni was at home the whole day\n"
        );
        let (bad, lines) = run_filter(false, input.as_bytes());
        assert_eq!(bad, 0);
        assert!(lines[0]["sentiment"].as_f64().unwrap() < lines[1]["sentiment"].as_f64().unwrap(), "{lines:?}");
    }
}

//! The manual, a page a topic. There is one copy of each: what GitHub shows, what `sentiment-sidecar manual` prints and
//! what stands in the modules below is the same file.
//!
//! A page is CommonMark with tables. Links to other pages go by the reference `[topic]`, which each page defines at its
//! end as the file, and which here leads to the module.

mod render;

pub(crate) use render::{verbatim, wrapped};

/// A page of the manual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// What it is called: the argument of `manual`.
    pub topic: &'static str,
    /// What it tells, in one line.
    pub about: &'static str,
    /// Where it lies, from `src/manual/` on.
    pub file: &'static str,
    /// Its text, as CommonMark with tables.
    pub text: &'static str,
}

/// Where the references of all pages lead in this documentation. What is defined first holds, so that the definitions
/// at the end of a page, which lead to files, count elsewhere only.
macro_rules! links {
    () => {
        "[attach]: crate::manual::attach\n\
         [escalation]: crate::manual::escalation\n\
         [settings]: crate::manual::settings\n\
         [webhook]: crate::manual::webhook\n\
         [transfer]: crate::manual::transfer\n\
         [review]: crate::manual::review\n\
         [rooms]: crate::manual::rooms\n\
         [worker]: crate::manual::worker\n\
         [openai]: crate::manual::openai\n\
         [twilio]: crate::manual::twilio\n\
         [dialect]: crate::manual::dialect\n\
         [rating]: crate::manual::rating\n\
         [rubric]: crate::manual::rubric\n\
         [model]: crate::manual::model\n\
         [qa]: crate::manual::qa\n\
         [operations]: crate::manual::operations\n"
    };
}

macro_rules! pages {
    ($($topic:ident, $file:literal, $about:literal;)+) => {
        /// Every page, in the order in which they are best read.
        pub const PAGES: &[Page] = &[
            $(Page { topic: stringify!($topic), about: $about, file: $file, text: include_str!($file) },)+
        ];
        $(
            #[doc = $about]
            #[doc = ""]
            #[doc = links!()]
            #[doc = ""]
            #[doc = include_str!($file)]
            pub mod $topic {}
        )+
    };
}

pages! {
    attach, "attach.md", "Join a live call: the command, its events, exit codes, shutdown.";
    escalation, "escalation.md", "When a call escalates, and what each action does and promises.";
    settings, "settings.md", "Every setting with its values and default, and the secrets.";
    webhook, "webhook.md", "What supervisors get and where, its signature, its retries.";
    review, "review.md", "Pages for supervisors and QA, who may come in, the JSON API.";
    transfer, "transfer.md", "How the caller gets to a human, over SIP too, and the proofs.";
    rooms, "rooms.md", "How a voice platform offers its calls, shown on one call.";
    worker, "worker.md", "Serve many LiveKit calls in one process: dispatch, load, takeover.";
    openai, "openai.md", "Join a call of OpenAI's Realtime API, and Azure's, by its id.";
    twilio, "twilio.md", "Hear calls of Twilio's ConversationRelay, and Telnyx', on the way.";
    dialect, "../room/DIALECT.md", "The native room dialect, rule by rule.";
    rating, "rating.md", "What the ratings mean, how good they are, and an LLM beside them.";
    rubric, "../sentiment/RUBRIC.md", "How a caller turn is rated, case by case.";
    model, "../sentiment/model/MODEL_CARD.md", "The embedded model: its data, figures and limits.";
    qa, "qa.md", "Replay, evaluate and tune it on calls of yours; every format.";
    operations, "operations.md", "Deploy it: systemd, Kubernetes, containers, store, logs.";
}

/// What it counts, in likeness, that a page's description has the word that was asked for.
const DESCRIBED: f64 = 0.75;

/// The page of a topic.
///
/// # Errors
/// The page whose topic is nearest to a wrong one.
pub fn page(topic: &str) -> Result<&'static Page, &'static Page> {
    let wanted = topic.trim().trim_end_matches(".md").to_ascii_lowercase();
    let mut best = (f64::MIN, &PAGES[0]);
    for page in PAGES {
        if page.topic == wanted {
            return Ok(page);
        }
        // A word of its description names a page nearly as well as its topic does.
        let named = wanted.len() > 2 && page.about.to_ascii_lowercase().contains(&wanted);
        let likeness = strsim::jaro_winkler(&wanted, page.topic) + if named { DESCRIBED } else { 0.0 };
        if likeness > best.0 {
            best = (likeness, page);
        }
    }
    Err(best.1)
}

impl Page {
    /// The page for a terminal of `width` columns (at least 40), with styles that [`anstream`] takes out where they are
    /// not wanted. No line is wider.
    #[must_use]
    pub fn for_terminal(&self, width: usize) -> String {
        render::terminal(self.text, width.max(40))
    }

    /// The page that a link of a page leads to.
    fn linked(target: &str) -> Option<&'static Self> {
        PAGES.iter().find(|page| page.file == target)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use pulldown_cmark::{Event, Options, Parser, Tag};

    use super::*;

    fn links(page: &Page) -> Vec<String> {
        let of = |event| match event {
            Event::Start(Tag::Link { dest_url, .. }) => Some(dest_url.to_string()),
            _ => None,
        };
        Parser::new_ext(page.text, Options::ENABLE_TABLES).filter_map(of).collect()
    }

    #[test]
    fn every_link_of_a_page_leads_somewhere() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual");
        for page in PAGES {
            for link in links(page) {
                let there = link.starts_with("https://") || folder.join(&link).exists();
                assert!(there, "{}: {link}", page.topic);
            }
            // A reference that nothing defines stays text in brackets.
            for other in PAGES {
                let undefined = page.text.contains(&format!("[{}]", other.topic))
                    && !page.text.contains(&format!("\n[{}]: {}\n", other.topic, other.file));
                assert!(!undefined, "{}: [{}] is not defined at its end", page.topic, other.topic);
            }
        }
    }

    #[test]
    fn every_page_has_its_reference_in_the_documentation() {
        for page in PAGES {
            assert!(links!().contains(&format!("[{0}]: crate::manual::{0}\n", page.topic)), "{}", page.topic);
        }
        assert_eq!(links!().lines().count(), PAGES.len());
    }

    #[test]
    fn a_wrong_topic_has_a_nearest_right_one() {
        for (wrong, right) in [
            ("setings", "settings"),
            ("webhooks", "webhook"),
            ("room", "rooms"),
            ("ratings", "rating"),
            ("QA1", "qa"),
            ("sip", "transfer"),
            ("deploy", "operations"),
            ("secrets", "settings"),
            ("exit", "attach"),
        ] {
            assert_eq!(page(wrong).unwrap_err().topic, right, "{wrong}");
        }
        assert_eq!(page(" Settings.md").unwrap().topic, "settings");
    }
}

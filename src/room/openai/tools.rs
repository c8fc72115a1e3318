//! Our tool among those of the app ([`Tools`]): the API replaces them all at once, so the app's are given back with ours.

use serde_json::{Value, json};

use crate::room::message::Tool;

/// An app that sets its tools anew takes ours away each time; after so many times between two answers it is let have its way.
const ATTEMPTS: u32 = 5;

/// The tools of the session's agent.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// The app's; none while the session is not known.
    apps: Option<Vec<Value>>,
    ours: Vec<Tool>,
    attempts: u32,
    /// Whether the session has tools that cannot be given back: then it is left as it is.
    keeps: bool,
    /// Whether ours would be offered now, were it not for these.
    kept: bool,
    told: bool,
}

/// Whether a tool of the app's may have more to it than the API shows: it need not repeat the credentials of a server of tools, and
/// given back without them, the server would refuse the agent.
fn may_hide(tool: &Value) -> bool {
    let shows = |field| tool.get(field).is_some_and(|value| !value.is_null());
    tool.get("type").and_then(Value::as_str) == Some("mcp") && !shows("authorization") && !shows("headers")
}

impl Tools {
    /// A new connection: the session says which there are.
    pub(super) fn reconnected(&mut self) {
        self.apps = None;
        self.attempts = 0;
    }

    /// Ours shall be offered. The event that does it, where the session is known.
    pub(super) fn register(&mut self, ours: &[Tool]) -> Option<Value> {
        self.ours = ours.to_vec();
        self.attempts = 0;
        self.update()
    }

    /// The session has these tools now. The event that puts ours among them, where they are not.
    pub(super) fn session(&mut self, tools: &[Value]) -> Option<Value> {
        let is_ours =
            |tool: &Value| self.ours.iter().any(|ours| tool.get("name").and_then(Value::as_str) == Some(&ours.name));
        let theirs: Vec<Value> = tools.iter().filter(|tool| !is_ours(tool)).cloned().collect();
        let all_there = tools.len() - theirs.len() >= self.ours.len();
        (self.keeps, self.kept) = (theirs.iter().any(may_hide), false);
        self.apps = Some(theirs);
        if all_there { None } else { self.update() }
    }

    /// The agent has answered: an app that has set its tools anew did so for that, and not because ours were there.
    pub(super) fn answered(&mut self) {
        self.attempts = 0;
    }

    /// Whether it is to be told now that ours is not offered, as that would take something away from the app's. Once, though it
    /// may have been kept back where nothing can be told.
    pub(super) fn is_news(&mut self) -> bool {
        self.kept && !std::mem::replace(&mut self.told, true)
    }

    /// Whether a tool is ours to answer.
    pub(super) fn has(&self, name: &str) -> bool {
        self.ours.iter().any(|tool| tool.name == name)
    }

    fn update(&mut self) -> Option<Value> {
        let apps = self.apps.as_ref()?;
        self.kept = self.keeps && !self.ours.is_empty();
        if self.ours.is_empty() || self.keeps || self.attempts >= ATTEMPTS {
            return None;
        }
        self.attempts += 1;
        let ours = self.ours.iter().map(|tool| {
            let Tool { name, description, parameters } = tool;
            json!({"type": "function", "name": name, "description": description, "parameters": parameters})
        });
        let tools: Vec<Value> = apps.iter().cloned().chain(ours).collect();
        Some(json!({"type": "session.update", "session": {"type": "realtime", "tools": tools}}))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::room::message::tool::escalate_sentiment;

    fn names(event: Option<Value>) -> Vec<String> {
        let tools = event.unwrap()["session"]["tools"].as_array().unwrap().clone();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_apps_tools_stay_and_ours_is_put_back_but_not_for_ever() {
        let crm = json!({"type": "mcp", "server_label": "crm", "authorization": "of the app"});
        let apps = [json!({"type": "function", "name": "look_up"}), crm];
        let mut tools = Tools::default();
        assert!(tools.register(&[escalate_sentiment()]).is_none(), "the session is not known yet");
        let update = tools.session(&apps).unwrap();
        let set = update["session"]["tools"].as_array().unwrap().clone();
        assert_eq!(set[..2], apps);
        assert!(tools.session(&set).is_none(), "ours is there");
        for _ in 1..ATTEMPTS {
            assert_eq!(
                tools.session(&apps[..1]).map(|event| names(Some(event))),
                Some(vec!["look_up".to_owned(), "escalate_sentiment".to_owned()])
            );
        }
        assert!(tools.session(&apps).is_none(), "the app insists");
        tools.answered();
        assert!(tools.session(&apps).is_some(), "it has other tools for another part of the call");
    }

    #[test]
    fn where_the_api_may_keep_credentials_to_itself_the_apps_tools_are_left_alone() {
        let mut tools = Tools::default();
        tools.register(&[escalate_sentiment()]);
        for crm in [
            json!({"type": "mcp", "server_label": "crm"}),
            json!({"type": "mcp", "server_label": "crm", "authorization": null, "headers": null}),
        ] {
            assert!(tools.session(&[crm]).is_none());
        }
        assert!(tools.register(&[escalate_sentiment()]).is_none());
        assert!(tools.is_news() && !tools.is_news(), "it is told once");
        let crm = json!({"type": "mcp", "server_label": "crm", "headers": {"x-key": "of the app"}});
        assert!(tools.session(std::slice::from_ref(&crm)).is_some_and(|update| update["session"]["tools"][0] == crm));
    }

    #[test]
    fn that_ours_is_not_offered_is_news_only_where_it_would_be() {
        let crm = json!({"type": "mcp", "server_label": "crm"});
        let ours = json!({"type": "function", "name": "escalate_sentiment"});
        let mut tools = Tools::default();
        assert!(tools.session(std::slice::from_ref(&crm)).is_none());
        assert!(tools.register(&[]).is_none() && !tools.is_news(), "there is none to offer");
        tools.register(&[escalate_sentiment()]);
        assert!(tools.session(&[crm.clone(), ours]).is_none());
        assert!(!tools.is_news(), "the app offers it");
        tools.session(std::slice::from_ref(&crm));
        assert!(tools.is_news() && !tools.is_news(), "it is told once");
        // The session was known first.
        let mut tools = Tools::default();
        tools.session(&[crm]);
        tools.register(&[escalate_sentiment()]);
        assert!(tools.is_news() && !tools.is_news(), "it is told once");
    }

    #[test]
    fn an_app_that_takes_ours_away_whenever_it_sees_it_has_its_way() {
        let apps = [json!({"type": "function", "name": "look_up"})];
        let mut tools = Tools::default();
        tools.register(&[escalate_sentiment()]);
        let put_back = std::iter::from_fn(|| {
            let update = tools.session(&apps)?;
            // The API says that it is so, and the app sees that as well.
            assert!(tools.session(update["session"]["tools"].as_array().unwrap()).is_none());
            Some(update)
        });
        assert_eq!(put_back.take(100).count(), ATTEMPTS as usize);
    }
}

//! Whose title says supervisor or manager though nobody brought them in: whoever answers the call serves the caller,
//! and with a supervisor on the call nothing would be rated.

use super::call::{Call, Party};
use super::turns;

/// Takes a supervisor who speaks before any agent does for the agent, and says so.
pub(super) fn settle(call: &mut Call, parties: &mut [Party]) {
    let in_order = if call.turns_as_they_stand { (0..call.pieces.len()).collect() } else { turns::order(&call.pieces) };
    let spoken = in_order.into_iter().map(|at| &call.pieces[at]).filter(|piece| !piece.text.trim().is_empty());
    let serves = |at: &usize| matches!(parties.get(*at), Some(Party::Agent | Party::Supervisor));
    let first = spoken.filter_map(|piece| piece.speaker).find(serves);
    if let Some(at) = first.filter(|at| parties[*at] == Party::Supervisor) {
        parties[at] = Party::Agent;
        let name = call.speakers.get(at).map_or("", |speaker| speaker.shown());
        call.warnings.push(format!(
            "\"{name}\" speaks before any agent does, and so is taken for the agent; a supervisor is somebody who joins \
             later, and with one on the call nothing is rated"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each speaker is in the end, and how many warnings there are.
    fn settled(said: &[(&str, Party, i64)]) -> (Vec<Party>, usize) {
        let mut call = Call::default();
        for (name, party, start) in said {
            let speaker = call.speaker(name, Some(*party));
            call.say(Some(speaker), "Hello.", Some(*start), None);
        }
        let mut parties: Vec<Party> = call.speakers.iter().filter_map(|speaker| speaker.party).collect();
        settle(&mut call, &mut parties);
        (parties, call.warnings.len())
    }

    #[test]
    fn the_supervisor_who_answers_is_the_agent_and_one_who_is_brought_in_is_not() {
        use Party::{Agent, Caller, Observer, Supervisor};
        let (bot, dana, ivr) = (("Bot", Agent, 5), ("Dana", Caller, 6), ("IVR", Observer, 1));
        let (manager, boss) = (("Manager", Supervisor, 7), ("Supervisor", Supervisor, 9));
        assert_eq!(settled(&[ivr, dana, manager, boss]), (vec![Observer, Caller, Agent, Supervisor], 1));
        assert_eq!(settled(&[dana, manager, bot]), (vec![Caller, Supervisor, Agent], 0), "by time, the bot answers");
        assert_eq!(settled(&[bot, dana, manager]), (vec![Agent, Caller, Supervisor], 0));
        assert_eq!(settled(&[dana, ivr]), (vec![Caller, Observer], 0));
    }
}

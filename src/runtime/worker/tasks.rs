//! Which calls a worker has, and which it is about to have ([`Tasks`]). Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::room::dispatch::Job;

/// A job that we have said yes to is given to us at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// The calls of a worker by their rooms. In a room there is one of us, however many jobs there are of it. `P` is what was made
/// ready for a job that is not yet given to us, `C` what there is of a call.
#[derive(Debug)]
pub(super) struct Tasks<P, C> {
    calls: BTreeMap<String, Running<C>>,
    asked: HashMap<String, Asked<P>>,
}

#[derive(Debug)]
struct Running<C> {
    jobs: Vec<Job>,
    /// Which opening of the room the call began in.
    session: String,
    call: C,
}

#[derive(Debug)]
struct Asked<P> {
    room: String,
    until: Instant,
    ready: Option<P>,
}

/// What is to be done about a job that was given to us.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Given<P> {
    /// Its call is to begin, with what was made ready for it, if anything.
    Begin(Option<P>),
    /// It is of a call that we have.
    Joined,
}

impl<P, C> Default for Tasks<P, C> {
    fn default() -> Self {
        Self { calls: BTreeMap::new(), asked: HashMap::new() }
    }
}

impl<P, C> Tasks<P, C> {
    pub(super) fn has(&self, room: &str) -> bool {
        self.calls.contains_key(room)
    }

    /// How many calls there are, and are about to be.
    pub(super) fn len(&self) -> usize {
        let begin = self.asked.values().map(|asked| &*asked.room).filter(|room| !self.has(room));
        self.calls.len() + begin.collect::<BTreeSet<_>>().len()
    }

    /// How many calls there are.
    pub(super) fn calls(&self) -> usize {
        self.calls.len()
    }

    /// The rooms of all of them.
    pub(super) fn rooms(&self) -> BTreeSet<String> {
        self.calls.keys().cloned().chain(self.asked.values().map(|asked| asked.room.clone())).collect()
    }

    /// We are asked whether we take a job, and mean to.
    pub(super) fn asked(&mut self, job: &Job, now: Instant) {
        let asked = Asked { room: job.room.clone(), until: now + PATIENCE, ready: None };
        self.asked.insert(job.id.clone(), asked);
    }

    /// What a job needs is ready. False where it is given to nobody or to somebody else by now.
    pub(super) fn ready(&mut self, id: &str, ready: P) -> bool {
        self.asked.get_mut(id).map(|asked| asked.ready = Some(ready)).is_some()
    }

    /// We do not take it after all.
    pub(super) fn declined(&mut self, id: &str) {
        self.asked.remove(id);
    }

    /// A job is ours.
    pub(super) fn given(&mut self, job: &Job) -> Given<P> {
        let ready = self.asked.remove(&job.id).and_then(|asked| asked.ready);
        match self.calls.get_mut(&job.room) {
            Some(running) => {
                running.jobs.push(job.clone());
                Given::Joined
            }
            None => Given::Begin(ready),
        }
    }

    /// The call of a job has begun.
    pub(super) fn begun(&mut self, job: Job, call: C) {
        let (room, session) = (job.room.clone(), job.session.clone());
        self.calls.insert(room, Running { jobs: vec![job], session, call });
    }

    /// A job was taken back. Returns the call that is to end, where it was of no other job.
    pub(super) fn taken_back(&mut self, id: &str) -> Option<&C> {
        self.asked.remove(id);
        let running = self.calls.values_mut().find(|running| running.jobs.iter().any(|job| job.id == id))?;
        running.jobs.retain(|job| job.id != id);
        running.jobs.is_empty().then_some(&running.call)
    }

    /// A call has ended. Returns what there was of it, its jobs, and those of another call, that came when the room had been
    /// opened again already.
    pub(super) fn ended(&mut self, room: &str) -> Option<(C, Vec<Job>, Vec<Job>)> {
        let Running { jobs, session, call } = self.calls.remove(room)?;
        let (own, others) = jobs.into_iter().partition(|job| job.session == session);
        Some((call, own, others))
    }

    /// Forgets jobs that were not given to us. With the connection all of them go.
    pub(super) fn forget_asked(&mut self, now: Option<Instant>) {
        self.asked.retain(|_, asked| now.is_some_and(|now| now < asked.until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str, room: &str) -> Job {
        Job { id: id.to_owned(), room: room.to_owned(), session: String::new(), metadata: String::new() }
    }

    #[test]
    fn a_job_is_asked_about_given_and_over() {
        let (mut tasks, now) = (Tasks::<&str, &str>::default(), Instant::now());
        tasks.asked(&job("j1", "a"), now);
        assert_eq!((tasks.len(), tasks.calls()), (1, 0));
        assert!(tasks.ready("j1", "made ready") && !tasks.ready("j9", "of nobody"));
        assert_eq!(tasks.given(&job("j1", "a")), Given::Begin(Some("made ready")));
        tasks.begun(job("j1", "a"), "call");
        assert_eq!((tasks.len(), tasks.has("a"), tasks.has("b")), (1, true, false));
        assert_eq!(tasks.ended("a"), Some(("call", vec![job("j1", "a")], Vec::new())));
        assert_eq!((tasks.ended("a"), tasks.len()), (None, 0));
    }

    #[test]
    fn several_jobs_of_a_room_are_one_call_until_the_last_is_taken_back() {
        let (mut tasks, now) = (Tasks::<&str, &str>::default(), Instant::now());
        tasks.asked(&job("j1", "a"), now);
        tasks.asked(&job("j2", "a"), now);
        assert_eq!(tasks.len(), 1);
        assert_eq!(tasks.given(&job("j1", "a")), Given::Begin(None));
        tasks.begun(job("j1", "a"), "call");
        assert_eq!(tasks.len(), 1);
        assert_eq!(tasks.given(&job("j2", "a")), Given::Joined);
        assert_eq!(tasks.taken_back("j1"), None);
        assert_eq!(tasks.taken_back("j9"), None);
        assert_eq!(tasks.taken_back("j2"), Some(&"call"));
        let nothing_more = Some(("call", Vec::new(), Vec::new()));
        assert_eq!(tasks.ended("a"), nothing_more, "of jobs that were taken back nothing more is said");
    }

    #[test]
    fn a_job_of_a_room_that_was_opened_again_is_none_of_the_call_that_ends() {
        let mut tasks = Tasks::<&str, &str>::default();
        tasks.begun(job("j1", "a"), "call");
        let again = Job { session: "another".to_owned(), ..job("j2", "a") };
        assert_eq!(tasks.given(&again), Given::Joined);
        assert_eq!(tasks.ended("a"), Some(("call", vec![job("j1", "a")], vec![again])));
    }

    #[test]
    fn a_job_that_goes_elsewhere_leaves_its_place() {
        let (mut tasks, now) = (Tasks::<&str, &str>::default(), Instant::now());
        tasks.asked(&job("j1", "a"), now);
        tasks.asked(&job("j2", "b"), now + PATIENCE);
        tasks.forget_asked(Some(now + PATIENCE));
        assert_eq!(tasks.rooms().into_iter().collect::<Vec<_>>(), ["b"]);
        tasks.asked(&job("j3", "c"), now);
        tasks.declined("j3");
        tasks.forget_asked(None);
        assert_eq!(tasks.len(), 0);
    }
}

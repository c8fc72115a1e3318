//! The WebRTC connections of a session: one for both directions, or, with older servers, one for each.

use super::door::description;
use super::peer::{Channel, Peer, PeerError, PeerEvent};
use super::proto::signal::{
    DataChannelInfo, SessionDescription, SignalTarget, SyncState, TrickleRequest, UpdateSubscription,
};

/// The connections.
pub(super) struct Peers {
    /// What data comes on.
    hearing: Peer,
    speaking: Speaking,
    /// The last description that either side gave of `hearing`.
    offer: SessionDescription,
    answer: SessionDescription,
    /// How many offers we have made; each has its number.
    offers: u32,
}

/// What data goes out on.
enum Speaking {
    /// What it comes on.
    Same,
    /// On nothing as long as we have nothing to say: what we write on a connection that the server offered reaches nobody.
    Nothing,
    /// On a connection of its own, that we offer.
    Own(Box<Peer>),
}

impl Peers {
    /// One connection, and our offer of it.
    ///
    /// # Errors
    /// [`PeerError`].
    pub(super) fn single() -> Result<(Self, String), PeerError> {
        let (hearing, sdp) = Peer::offering()?;
        let offer = description("offer", &sdp, 1);
        let peers = Self { hearing, speaking: Speaking::Same, offer, answer: SessionDescription::default(), offers: 1 };
        Ok((peers, sdp))
    }

    /// Two connections, the first of which the server offers.
    ///
    /// # Errors
    /// [`PeerError`].
    pub(super) fn dual() -> Result<Self, PeerError> {
        let (offer, answer) = (SessionDescription::default(), SessionDescription::default());
        Ok(Self { hearing: Peer::new()?, speaking: Speaking::Nothing, offer, answer, offers: 0 })
    }

    pub(super) fn is_single(&self) -> bool {
        matches!(self.speaking, Speaking::Same)
    }

    /// The server's answer to our offer.
    ///
    /// # Errors
    /// [`PeerError`].
    pub(super) fn answered(&mut self, answer: SessionDescription) -> Result<(), PeerError> {
        // It answers an offer that has been replaced since.
        if answer.id != 0 && answer.id != self.offers {
            return Ok(());
        }
        match &mut self.speaking {
            Speaking::Same => {
                self.answer = answer.clone();
                self.hearing.answered(answer.sdp)
            }
            Speaking::Own(peer) => peer.answered(answer.sdp),
            Speaking::Nothing => Ok(()),
        }
    }

    /// Our answer to the server's offer.
    ///
    /// # Errors
    /// [`PeerError`].
    pub(super) fn offered(&mut self, offer: SessionDescription) -> Result<SessionDescription, PeerError> {
        let answer = description("answer", &self.hearing.answer(offer.sdp.clone())?, offer.id);
        (self.offer, self.answer) = (offer, answer.clone());
        Ok(answer)
    }

    /// A way to the server.
    pub(super) fn candidate(&mut self, trickle: &TrickleRequest) {
        match (&mut self.speaking, trickle.target()) {
            (Speaking::Own(peer), SignalTarget::Publisher) => peer.candidate(&trickle.candidate_init),
            _ => self.hearing.candidate(&trickle.candidate_init),
        }
    }

    /// Our offer of the connection that we offered before, over another way; none where there is none.
    ///
    /// # Errors
    /// [`PeerError`].
    pub(super) fn restart(&mut self) -> Result<Option<SessionDescription>, PeerError> {
        let peer = match &mut self.speaking {
            Speaking::Same => &mut self.hearing,
            Speaking::Own(peer) => &mut **peer,
            Speaking::Nothing => return Ok(None),
        };
        self.offers = self.offers.wrapping_add(1);
        let offer = description("offer", &peer.restart()?, self.offers);
        if self.is_single() {
            self.offer = offer.clone();
        }
        Ok(Some(offer))
    }

    /// Gets ready to speak: our offer of a connection, where one is needed and none is there.
    ///
    /// # Errors
    /// [`PeerError`].
    pub(super) fn begin_to_speak(&mut self) -> Result<Option<SessionDescription>, PeerError> {
        if !matches!(self.speaking, Speaking::Nothing) {
            return Ok(None);
        }
        let (peer, sdp) = Peer::offering()?;
        self.speaking = Speaking::Own(Box::new(peer));
        self.offers = self.offers.wrapping_add(1);
        Ok(Some(description("offer", &sdp, self.offers)))
    }

    /// What data goes out on, once it can.
    pub(super) fn speaker(&mut self) -> Option<&mut Peer> {
        let peer = match &mut self.speaking {
            Speaking::Same => &mut self.hearing,
            Speaking::Own(peer) => &mut **peer,
            Speaking::Nothing => return None,
        };
        peer.is_open(Channel::Reliable).then_some(peer)
    }

    /// What we have of the connections, for a session that is resumed.
    pub(super) fn state(&mut self) -> SyncState {
        let (peer, target) = match &mut self.speaking {
            Speaking::Own(peer) => (&mut **peer, SignalTarget::Publisher),
            Speaking::Same => (&mut self.hearing, SignalTarget::Publisher),
            Speaking::Nothing => (&mut self.hearing, SignalTarget::Subscriber),
        };
        let info = |(channel, id): (Channel, u16)| DataChannelInfo {
            label: channel.label().to_owned(),
            id: id.into(),
            target: target.into(),
        };
        SyncState {
            answer: Some(self.answer.clone()),
            offer: Some(self.offer.clone()),
            subscription: Some(UpdateSubscription { track_sids: Vec::new(), subscribe: true }),
            data_channels: peer.streams().into_iter().map(info).collect(),
            datachannel_receive_states: Vec::new(),
        }
    }

    /// What happens next, and whether it is of the connection that data comes on. Cancel-safe.
    pub(super) async fn next(&mut self, listening: bool) -> (bool, PeerEvent) {
        match &mut self.speaking {
            Speaking::Own(speaking) => tokio::select! {
                event = self.hearing.next(listening) => (true, event),
                event = speaking.next(true) => (false, event),
            },
            _ => (true, self.hearing.next(listening).await),
        }
    }
}

//! What becomes of an incident where other policies hold than those by which its alerts came.

use jiff::Timestamp;

use super::{Closed, Incident, State};
use crate::domain::{
    alert::{AlertStatus, Fingerprint},
    policy::Policies,
};

impl Incident {
    /// These policies hold from now on. An alert that has none any more leaves: what is sent of it is
    /// ignored, its resolution too. Says which alerts are to be stored anew.
    pub fn follow(&mut self, policies: &Policies, now: Timestamp) -> Vec<Fingerprint> {
        if !self.has_policy(policies) {
            self.close(Closed::NoPolicy, now);
            return vec![];
        }
        let (before, mut changed) = (self.urgency(), vec![]);
        for (fingerprint, member) in &mut self.members {
            let (urgency, status) = policies
                .urgency(&member.name)
                .map_or((member.urgency, AlertStatus::Resolved), |urgency| (urgency, member.status));
            if (urgency, status) != (member.urgency, member.status) {
                (member.urgency, member.status) = (urgency, status);
                changed.push(fingerprint.clone());
            }
        }
        // More pressing, it is looked at sooner, as if that had been received.
        if let (State::Waiting { due_at }, true) = (self.state, self.urgency() > before) {
            self.state = State::Waiting { due_at: due_at.min(now) };
        }
        self.lower(now);
        changed
    }

    /// Whether an alert of it that fires has a policy.
    pub fn has_policy(&self, policies: &Policies) -> bool {
        self.firing().any(|member| policies.urgency(&member.name).is_some())
    }
}

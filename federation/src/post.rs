//! Posting: a run comes into the book, its rewards are set aside, and what waits for nothing is offered, in one frame.

use crate::effect::{Code, Refusal, Reply};
use crate::fact::{ArtifactStored, Emitted, Fact, PostKey, Poster, RunPosted, StepSpec, TaskSpec};
use crate::federation::Federation;
use crate::input::{ArtifactPut, Now, Request, RunPost};
use crate::json::Json;
use crate::ledger;
use crate::options::{
    AGENT_OPEN_BYTES_MAX, AGENT_OPEN_STEPS_MAX, AGENT_POST_KEYS_MAX, DEADLINE_MS_MAX, OPEN_BYTES_MAX,
    OPEN_STEPS_MAX, OPERATOR_PART, POST_KEY_MS, RUN_BYTES_MAX, RUN_FIXED_BYTES, STEP_FIXED_BYTES,
};
use crate::post_keys::Full;
use crate::run;
use crate::settle::HIGHEST_ADMITTED;
use crate::turn::Turn;
use artel_protocol::amount::{CREDITS_MAX, Credits};
use artel_protocol::id::{Digest, RunId, StepId};
use artel_protocol::limits::{
    DESCRIPTION_BYTES_MAX, INPUT_BYTES_MAX, METADATA_BYTES_MAX, NAME_BYTES_MAX, SCHEMA_BYTES_MAX, SKILLS_MAX,
    TITLE_BYTES_MAX,
};
use artel_protocol::text::is_plain;
use artel_reputation::escrow;

impl Federation {
    /// Posts a run; the same post under the same key gets the same run.
    pub(crate) fn post(&mut self, turn: &mut Turn, poster: Poster, post: RunPost) -> Result<Reply, Refusal> {
        let key =
            post.key.as_ref().map(|(key, body)| PostKey { key: Digest::of(key.as_bytes()), body: *body });
        if let Some(reply) = key.and_then(|key| self.posted_before(poster, key, &turn.now)).transpose()? {
            return Ok(reply);
        }
        if key.is_some() {
            self.state.post_keys.check_room(poster, turn.now.wall).map_err(keys_full)?;
        }
        if !is_plain(&post.name, NAME_BYTES_MAX, false) {
            return Err(Refusal::new(
                Code::Invalid,
                format!("a run's name is 1 to {NAME_BYTES_MAX} bytes on one line"),
            ));
        }
        if post.inputs.len() > INPUT_BYTES_MAX {
            return Err(Refusal::new(
                Code::TooMany,
                format!("inputs have at most {INPUT_BYTES_MAX} bytes; store more as an artifact"),
            ));
        }
        let mut steps = run::graph(post.steps)?;
        for step in &mut steps {
            check_task(&mut step.task, &step.name, &turn.now)?;
        }
        if post.priority > 0 && poster != Poster::Operator {
            return Err(Refusal::new(Code::Forbidden, "only the operator may post with a priority above 0"));
        }
        self.check_room(poster, &steps, post.name.len() + post.inputs.len())?;
        let escrows: Vec<Credits> = steps.iter().map(|s| escrow(s.task.reward, HIGHEST_ADMITTED)).collect();
        let total = escrows.iter().try_fold(Credits::ZERO, |sum, e| sum.checked_add(*e));
        let covered =
            total.is_some_and(|t| self.state.ledger.covers(poster, t, self.options.credit_line_units));
        if !covered {
            let need = total.unwrap_or(CREDITS_MAX).decimal();
            let message = format!(
                "setting aside the rewards takes {need} credits (twice the base, for the highest level); you have less"
            );
            return Err(Refusal::new(Code::InsufficientCredit, message));
        }
        let id = RunId::new(turn.now.wall, turn.now.entropy[..9].try_into().expect("nine of 32 bytes"));
        let posted = RunPosted {
            run: id,
            poster,
            name: post.name,
            inputs: post.inputs,
            priority: post.priority,
            steps,
            post_key: key,
            attempts_max: self.options.attempts_max,
            lapses_max: self.options.lapses_max,
            salt: turn.now.salt(),
        };
        turn.record(&mut self.state, Fact::RunPosted(posted));
        for (i, amount) in escrows.into_iter().enumerate() {
            if let Some(transfer) = ledger::escrow(id.step(i), poster, amount) {
                turn.record(&mut self.state, Fact::Transfer(transfer));
            }
        }
        self.arm_waiting(id, &turn.now);
        self.offer_ready(turn, id);
        let run = self.state.shown(&id).expect("just posted");
        Ok(Reply::Run { run, repeated: false })
    }

    fn posted_before(&self, poster: Poster, key: PostKey, now: &Now) -> Option<Result<Reply, Refusal>> {
        let (id, body, at) = self.state.post_keys.get(poster, &key.key)?;
        if now.wall.since_ms(*at) > POST_KEY_MS {
            return None;
        }
        if *body != key.body {
            let message = "this Idempotency-Key came with another body before; use a new key for a new post";
            return Some(Err(Refusal::new(Code::IdempotencyConflict, message)));
        }
        match self.state.shown(id) {
            Some(run) => Some(Ok(Reply::Run { run, repeated: true })),
            None => Some(Ok(Reply::Repeated(*id))),
        }
    }

    fn check_room(&self, poster: Poster, steps: &[StepSpec], own_bytes: usize) -> Result<(), Refusal> {
        let bytes = own_bytes + steps.iter().map(StepSpec::text_bytes).sum::<usize>();
        if bytes > RUN_BYTES_MAX {
            let message = format!(
                "a run has at most {RUN_BYTES_MAX} bytes of texts, inputs and schemas; store more as artifacts"
            );
            return Err(Refusal::new(Code::TooMany, message));
        }
        let counted = (bytes + RUN_FIXED_BYTES + steps.len() * STEP_FIXED_BYTES) as u64;
        let (open, own) = (self.state.open, self.state.open_of(poster));
        let full = |message: String| Err(Refusal::new(Code::BookFull, message));
        let mut book = (OPEN_STEPS_MAX, OPEN_BYTES_MAX);
        if poster != Poster::Operator {
            if own.steps + steps.len() > AGENT_OPEN_STEPS_MAX {
                return full(format!(
                    "an agent has at most {AGENT_OPEN_STEPS_MAX} open steps posted; post again when some are done"
                ));
            }
            if own.bytes + counted > AGENT_OPEN_BYTES_MAX {
                return full(format!(
                    "an agent's open runs have at most {AGENT_OPEN_BYTES_MAX} bytes; post again when some are done, or store more as artifacts"
                ));
            }
            book.0 -= OPEN_STEPS_MAX / OPERATOR_PART as usize;
            book.1 -= OPEN_BYTES_MAX / OPERATOR_PART;
        }
        if open.steps + steps.len() > book.0 || open.bytes + counted > book.1 {
            return full("this node's book of open work is full; post again when some of it is done".into());
        }
        Ok(())
    }

    /// Deadlines of steps that wait for others; the offered ones are armed with their offer.
    fn arm_waiting(&mut self, id: RunId, now: &Now) {
        let run = self.state.run(&id).expect("just posted");
        let waiting: Vec<_> =
            run.steps.iter().enumerate().filter(|(_, s)| !s.spec.needs.is_empty()).collect();
        let deadlines: Vec<_> =
            waiting.into_iter().map(|(i, s)| (id.step(i), s.spec.task.deadline)).collect();
        for (step, deadline) in deadlines {
            self.arm_deadline(step, deadline, now);
        }
    }

    /// How many more bytes of artifacts are kept; a part of the quota is not for agents of other nodes.
    pub(crate) fn artifact_room(&self, for_guests: bool) -> u64 {
        let all = self.options.artifact_quota_bytes;
        let part = if for_guests { all / OPERATOR_PART * (OPERATOR_PART - 1) } else { all };
        part.saturating_sub(self.state.artifact_bytes)
    }

    /// Enters an artifact whose bytes are on disk.
    pub(crate) fn store(&mut self, turn: &mut Turn, by: Poster, put: ArtifactPut) -> Result<Reply, Refusal> {
        if put.bytes_new > self.artifact_room(false) {
            let quota = self.options.artifact_quota_bytes;
            let message =
                format!("this node keeps at most {quota} bytes of artifacts and has no room for this one");
            return Err(Refusal::new(Code::ArtifactQuota, message));
        }
        let line = |text: &str| text.is_empty() || is_plain(text, NAME_BYTES_MAX, false);
        if put.name.is_empty()
            || ![&put.name, &put.kind, &put.content_type].into_iter().all(|text| line(text))
        {
            let message = format!(
                "name, kind and content_type are at most {NAME_BYTES_MAX} bytes on one line; an artifact has a name"
            );
            return Err(Refusal::new(Code::Invalid, message));
        }
        if put.metadata.len() > METADATA_BYTES_MAX {
            return Err(Refusal::new(
                Code::TooMany,
                format!("metadata has at most {METADATA_BYTES_MAX} bytes"),
            ));
        }
        let ArtifactPut { id, digest, bytes, bytes_new, name, kind, content_type, step, run, metadata } = put;
        let artifact = id.unwrap_or_else(|| Request::artifact_id(&turn.now));
        self.may_attach(by, run, step)?;
        let stored = ArtifactStored {
            artifact,
            digest,
            bytes,
            bytes_new,
            name,
            kind,
            content_type,
            by,
            step,
            run,
            metadata,
        };
        turn.record(&mut self.state, Fact::ArtifactStored(stored));
        Ok(Reply::Stored { artifact, at: turn.now.wall })
    }

    /// To a run, only its poster, the operator and those who hold or held one of its steps attach artifacts.
    fn may_attach(&self, by: Poster, run: Option<RunId>, step: Option<StepId>) -> Result<(), Refusal> {
        let Some(id) = run.or(step.map(|s| s.run())) else { return Ok(()) };
        let known = self
            .state
            .run(&id)
            .filter(|run| step.is_none_or(|s| s.run() == id && s.index() < run.steps.len()));
        let Some(run) = known else {
            return Err(Refusal::new(
                Code::NotFound,
                "there is no such run or step here that artifacts can be attached to",
            ));
        };
        let Poster::Agent(agent) = by else { return Ok(()) };
        let works = run.steps.iter().enumerate().any(|(i, step)| {
            let holds = self.state.leases.get(&agent).is_some_and(|held| held.contains(&id.step(i)));
            holds || step.handed.iter().any(|h| h.agent == agent)
        });
        if works || run.poster == by {
            return Ok(());
        }
        Err(Refusal::new(
            Code::Forbidden,
            "only a run's poster and those who work on it attach artifacts to it",
        ))
    }

    /// The operator emits an event.
    pub(crate) fn emit(
        &mut self,
        turn: &mut Turn,
        by: Poster,
        (name, data, run): (String, Json, Option<RunId>),
    ) -> Result<Reply, Refusal> {
        if !is_plain(&name, NAME_BYTES_MAX, false) || data.len() > INPUT_BYTES_MAX {
            let message = format!(
                "an event's name has at most {NAME_BYTES_MAX} bytes on one line, its data {INPUT_BYTES_MAX} bytes"
            );
            return Err(Refusal::new(Code::Invalid, message));
        }
        let emitted = Emitted { name, by, data, run };
        let index = turn.record(&mut self.state, Fact::Emitted(emitted));
        Ok(Reply::Emitted { index, at: turn.now.wall })
    }
}

fn keys_full(full: Full) -> Refusal {
    let message = match full {
        Full::Share => format!(
            "{AGENT_POST_KEYS_MAX} idempotency keys of yours are remembered for a day, which is an agent's share; post without one or later"
        ),
        Full::Book => "too many idempotency keys are remembered for today; post without one or later".into(),
    };
    Refusal::new(Code::BookFull, message)
}

/// Puts a task into its one form and checks its bounds.
fn check_task(task: &mut TaskSpec, step: &str, now: &Now) -> Result<(), Refusal> {
    let too_many = |what: &str, max: usize| {
        Err(Refusal::new(
            Code::TooMany,
            format!("step {step:?}: {what} has at most {max} bytes; store more as an artifact"),
        ))
    };
    let invalid = |what: String| Err(Refusal::new(Code::Invalid, format!("step {step:?}: {what}")));
    if !is_plain(step, NAME_BYTES_MAX, false) {
        return invalid(format!("a step's name is 1 to {NAME_BYTES_MAX} bytes on one line"));
    }
    if !is_plain(&task.title, TITLE_BYTES_MAX, false) {
        return invalid(format!("title must be 1 to {TITLE_BYTES_MAX} bytes of text on one line"));
    }
    if task.description.len() > DESCRIPTION_BYTES_MAX {
        return too_many("description", DESCRIPTION_BYTES_MAX);
    }
    if task.input.len() > INPUT_BYTES_MAX {
        return too_many("input", INPUT_BYTES_MAX);
    }
    if task.output_schema.as_ref().is_some_and(|s| s.len() > SCHEMA_BYTES_MAX) {
        return too_many("output_schema", SCHEMA_BYTES_MAX);
    }
    if task.skills.len() > SKILLS_MAX {
        return invalid(format!("requirements name at most {SKILLS_MAX} capabilities"));
    }
    if task.reward > CREDITS_MAX {
        return invalid(format!("reward is at most {} credits", CREDITS_MAX.decimal()));
    }
    if task.deadline <= now.wall {
        return invalid("deadline has passed already; name one in the future".into());
    }
    if task.deadline.since_ms(now.wall) > DEADLINE_MS_MAX {
        return invalid("deadline lies more than a year ahead".into());
    }
    task.skills.sort();
    task.skills.dedup();
    Ok(())
}

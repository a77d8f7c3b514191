//! What a poster does: it posts single tasks and graphs of steps, repeats posts that nobody answered, posts another body
//! under an old key, cancels runs and steps.

use crate::rng::Rng;
use artel_federation::fact::TaskSpec;
use artel_federation::input::{RunPost, StepPost};
use artel_federation::{Json, Reply, Request};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, RunId};
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;
use artel_reputation::{Complexity, Level};

/// The skills that exist in a world.
pub const SKILLS: [&str; 4] = ["text", "code", "image@2", "sums"];

/// The skill that only the agents of the second phase have.
pub const SAINT: &str = "patience";

/// How many runs and posts a desk remembers; more would only make repeats of old posts rarer.
const REMEMBERED: usize = 16;

/// What a poster remembers.
#[derive(Debug, Default)]
pub struct Desk {
    posts: Vec<RunPost>,
    runs: Vec<(RunId, usize)>,
    count: u64,
}

/// What a poster can pay for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purse {
    /// Much: the operator's.
    Deep,
    /// What an agent has earned.
    Shallow,
}

/// A skill of a world.
pub fn skill(text: &str) -> Skill {
    Skill::parse(text).expect("the world's skills are written as skills are")
}

impl Desk {
    /// Something that a poster may want now.
    pub fn wish(&mut self, rng: &mut Rng, wall: Wall, purse: Purse) -> Request {
        match rng.below(100) {
            0..=64 => self.post(rng, wall, purse),
            65..=79 => self.repeat(rng, wall, purse),
            80..=84 => self.conflict(rng, wall, purse),
            _ => self.cancel(rng, wall, purse),
        }
    }

    /// Hears what became of a wish.
    pub fn hear(&mut self, reply: &Reply) {
        if let Reply::Run { run, .. } = reply {
            self.runs.retain(|(id, _)| *id != run.id);
            self.runs.push((run.id, run.steps.len()));
            if self.runs.len() > REMEMBERED {
                self.runs.remove(0);
            }
        }
    }

    /// A post that every newcomer of the second phase can do, and nobody else: it gives it a record.
    pub fn easy(&mut self, rng: &mut Rng, wall: Wall) -> Request {
        let mut post = self.draw(rng, wall, Purse::Deep);
        post.steps.truncate(1);
        let task = &mut post.steps[0].task;
        (task.complexity, task.level_min, task.output_schema) = (Complexity::Simple, None, None);
        (task.skills, task.reward) = (vec![skill(SAINT)], Credits::ZERO);
        task.deadline = wall.plus_ms(3_600_000);
        Request::Post(post)
    }

    fn post(&mut self, rng: &mut Rng, wall: Wall, purse: Purse) -> Request {
        let post = self.draw(rng, wall, purse);
        if post.key.is_some() {
            self.posts.push(post.clone());
            if self.posts.len() > REMEMBERED {
                self.posts.remove(0);
            }
        }
        Request::Post(post)
    }

    fn repeat(&mut self, rng: &mut Rng, wall: Wall, purse: Purse) -> Request {
        match rng.pick(&self.posts) {
            Some(post) => Request::Post(post.clone()),
            None => self.post(rng, wall, purse),
        }
    }

    fn conflict(&mut self, rng: &mut Rng, wall: Wall, purse: Purse) -> Request {
        let Some(mut post) = rng.pick(&self.posts).cloned() else {
            return self.post(rng, wall, purse);
        };
        post.name.push_str(" changed");
        post.key = post.key.map(|(key, _)| (key, Digest::of(post.name.as_bytes())));
        Request::Post(post)
    }

    fn cancel(&mut self, rng: &mut Rng, wall: Wall, purse: Purse) -> Request {
        let Some((run, steps)) = rng.pick(&self.runs).copied() else {
            return self.post(rng, wall, purse);
        };
        let step = rng.chance(500).then(|| run.step(rng.below(steps as u64) as usize));
        Request::Cancel { run, step }
    }

    fn draw(&mut self, rng: &mut Rng, wall: Wall, purse: Purse) -> RunPost {
        self.count += 1;
        let steps = if rng.chance(600) { 1 } else { rng.between(2, 5) };
        let deadline = match rng.below(10) {
            0 => wall.plus_ms(rng.between(1, 30) * 1_000),
            1..=2 => wall.plus_ms(rng.between(30, 120) * 1_000),
            _ => wall.plus_ms(3_600_000),
        };
        let step = |i: u64, rng: &mut Rng| {
            let needs = (0..i).filter(|_| rng.chance(450)).map(|need| format!("s{need}")).collect();
            StepPost { name: format!("s{i}"), needs, task: task(rng, deadline, purse) }
        };
        let steps = (0..steps).map(|i| step(i, rng)).collect();
        let name = format!("run {}", self.count);
        let key = rng.chance(600).then(|| (format!("key {}", self.count), Digest::of(name.as_bytes())));
        let priority = if purse == Purse::Deep { rng.below(3) as i32 } else { 0 };
        RunPost { name, inputs: Json::new(*b"{}"), priority, steps, key }
    }
}

fn task(rng: &mut Rng, deadline: Wall, purse: Purse) -> TaskSpec {
    let credit = match purse {
        Purse::Deep => 20_000_000,
        Purse::Shallow => 500_000,
    };
    // Nothing, single units that show how amounts are rounded, and odd larger ones.
    let reward = match rng.below(10) {
        0 => 0,
        1 => rng.between(1, 30),
        _ => rng.below(credit),
    };
    let skills = SKILLS.iter().filter(|_| rng.chance(150)).map(|text| skill(text)).collect();
    TaskSpec {
        title: "a task".into(),
        description: String::new(),
        skills,
        level_min: rng.chance(50).then_some(Level::Intermediate),
        complexity: if rng.chance(850) { Complexity::Simple } else { harder(rng) },
        reward: Credits(reward),
        deadline,
        input: Json::new(*b"{\"n\":1}"),
        output_schema: rng.chance(500).then(|| Json::new(*b"{\"type\":\"object\"}")),
        poster_may_claim: rng.chance(300),
        runner: None,
    }
}

fn harder(rng: &mut Rng) -> Complexity {
    *rng.pick(&[Complexity::Medium, Complexity::Complex, Complexity::Premium]).expect("three of them")
}

//! What may run here: by home, by module, by skill, by kind. Nothing may unless a rule says so.

use artel_protocol::id::Digest;
use artel_protocol::key::NodeId;
use artel_protocol::skill::Skill;

/// A way of running a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A WebAssembly command in the sandbox of this crate.
    Wasm,
}

impl Kind {
    /// Its name in JSON and in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Wasm => "wasm",
        }
    }
    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        (name == "wasm").then_some(Kind::Wasm)
    }
}

/// What is asked for: one step of one home.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// The node that offers the step.
    pub home: &'a NodeId,
    /// How it is to be run.
    pub kind: Kind,
    /// Its module.
    pub module: &'a Digest,
    /// What it requires.
    pub skills: &'a [Skill],
}

/// What a rule is about. A part that is not given fits everything; a rule without parts fits every step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Only steps of this home.
    pub home: Option<NodeId>,
    /// Only this module.
    pub module: Option<Digest>,
    /// Only steps that require this skill; without a version, any of that name. What a step requires is its poster's word.
    pub skill: Option<Skill>,
    /// Only steps of this kind.
    pub kind: Option<Kind>,
}

impl Rule {
    fn fits(&self, ask: &Ask<'_>) -> bool {
        self.home.as_ref().is_none_or(|home| home == ask.home)
            && self.module.as_ref().is_none_or(|module| module == ask.module)
            && self.skill.as_ref().is_none_or(|skill| ask.skills.iter().any(|asked| is_meant(skill, asked)))
            && self.kind.is_none_or(|kind| kind == ask.kind)
    }
}

/// Whether a rule about `skill` means the one that is asked for.
fn is_meant(skill: &Skill, asked: &Skill) -> bool {
    skill.name() == asked.name() && (skill.version() == 0 || skill.version() == asked.version())
}

/// The operator's rules. The empty policy allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// A step runs when one of these fits it,
    pub allow: Vec<Rule>,
    /// and none of these.
    pub deny: Vec<Rule>,
}

/// Whether a step may run under a policy.
pub fn allows(policy: &Policy, ask: &Ask<'_>) -> bool {
    policy.allow.iter().any(|rule| rule.fits(ask)) && !policy.deny.iter().any(|rule| rule.fits(ask))
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::key::SecretKey;

    #[test]
    fn nothing_runs_that_no_rule_allows() {
        let home = NodeId(SecretKey::from_seed(&[1; 32]).public());
        let other = NodeId(SecretKey::from_seed(&[2; 32]).public());
        let module = Digest::of(b"module");
        let skills =
            [Skill::parse("text/count").expect("a skill"), Skill::parse("text/sort@2").expect("a skill")];
        let ask = Ask { home: &home, kind: Kind::Wasm, module: &module, skills: &skills };
        let any = Rule::default();
        let of_home = Rule { home: Some(home), ..Rule::default() };
        let of_other = Rule { home: Some(other), ..Rule::default() };
        let of_module = Rule { module: Some(module), ..Rule::default() };
        let of_other_module = Rule { module: Some(Digest::of(b"other")), ..of_home.clone() };
        let of_skill = Rule { skill: Some(skills[1].clone()), kind: Some(Kind::Wasm), ..Rule::default() };
        let named = |skill| Rule { skill: Skill::parse(skill).ok(), ..Rule::default() };
        let (of_name, of_version) = (named("text/sort"), named("text/sort@1"));
        let of_other_skill = Rule { skill: Some(Skill::parse("image").expect("a skill")), ..Rule::default() };
        for (allow, deny, wanted) in [
            (vec![], vec![], false),
            (vec![&any], vec![], true),
            (vec![&of_home], vec![], true),
            (vec![&of_other], vec![], false),
            (vec![&of_other, &of_module], vec![], true),
            (vec![&of_other_module], vec![], false),
            (vec![&of_skill], vec![], true),
            (vec![&of_other_skill], vec![], false),
            (vec![&any], vec![&of_module], false),
            (vec![&any], vec![&of_other_skill], true),
            (vec![&of_name], vec![], true),
            (vec![&any], vec![&of_name], false),
            (vec![&of_version], vec![], false),
            (vec![&any], vec![&of_version], true),
            (vec![], vec![&of_other], false),
        ] {
            let rules = |rules: &[&Rule]| rules.iter().map(|rule| (*rule).clone()).collect();
            let policy = Policy { allow: rules(&allow), deny: rules(&deny) };
            assert_eq!(allows(&policy, &ask), wanted, "{policy:?}");
        }
    }
}

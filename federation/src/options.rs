//! The numbers that hold until an operator says otherwise. What a decision used stands in its entry, so that another
//! number tomorrow changes no fold of yesterday.

/// The operator's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A lease's term in milliseconds. Shorter and slow agents lapse, longer and a dead agent's work waits.
    pub lease_ms: u32,
    /// For how long a lease may be renewed in all, in milliseconds (the seed's 60 minutes of a run).
    pub lease_total_ms: u64,
    /// How many rejected submissions fail a step.
    pub attempts_max: u8,
    /// How many lapses fail a step.
    pub lapses_max: u8,
    /// For how long an offer is open to its best candidates alone, in milliseconds, while no neighbour is connected: 0, since all
    /// agents are local and those that wait hear of it at once.
    pub window_ms: u32,
    /// The same while neighbours are: their agents hear of offers by gossip. Shorter, and who is nearest wins; longer, and work
    /// that the best do not take lies about.
    pub window_meshed_ms: u32,
    /// How many candidates those are.
    pub top: u8,
    /// Within which time home judges a submission, in milliseconds.
    pub verdict_within_ms: u32,
    /// The most leases that one agent may hold at once.
    pub leases_max: u32,
    /// How far the operator's account may go below zero, in units.
    pub credit_line_units: u64,
    /// How long a token and a delegation live, in milliseconds (at most 90 days).
    pub token_ms: u64,
    /// How many bytes of artifacts the node keeps.
    pub artifact_quota_bytes: u64,
    /// Whether results of agents that are enrolled here are drawn for a redo too. No where the operator enrolls them all.
    pub redo_enrolled: bool,
}

/// Ninety days, the most that a token may live (the seed's figure).
pub const TOKEN_MS_MAX: u64 = 90 * 24 * 3_600_000;

impl Default for Options {
    fn default() -> Self {
        Options {
            lease_ms: 60_000,
            lease_total_ms: 3_600_000,
            attempts_max: 3,
            lapses_max: 3,
            window_ms: 0,
            window_meshed_ms: 2_000,
            top: 8,
            verdict_within_ms: 600_000,
            leases_max: 64,
            credit_line_units: 1_000_000 * 1_000_000,
            token_ms: TOKEN_MS_MAX,
            artifact_quota_bytes: 20_000_000_000,
            redo_enrolled: true,
        }
    }
}

/// How long a challenge lives, in milliseconds. Longer gives a thief of the text more time, shorter slows people.
pub const CHALLENGE_MS: u64 = 60_000;
/// The most open challenges; at the limit the oldest is dropped, so that strangers cannot lock others out for long.
pub const CHALLENGES_MAX: usize = 1_024;
/// The most agents on one node; at the limit enrollment answers `too_many`. Each costs a kilobyte of memory, twelve with
/// all its metadata, skills and record at their limits.
pub const AGENTS_MAX: usize = 100_000;
/// The most bytes of agents, each with [`AGENT_FIXED_BYTES`] beside its texts; at the limit enrollment, and a profile that
/// grows, get `too_many`. All of them stand in every snapshot.
pub const AGENTS_BYTES_MAX: u64 = 256 << 20;
/// What an agent counts beside its texts, in bytes: no less than its snapshot row, with a full record and an account.
pub const AGENT_FIXED_BYTES: usize = 1_280;
/// The most steps in open runs; at the limit a post gets `book_full`. More would make a start, which arms each one's
/// deadline, longer than a second.
pub const OPEN_STEPS_MAX: usize = 500_000;
/// The most bytes of open runs (see [`STEP_FIXED_BYTES`]); at the limit a post gets `book_full`. All of them stand in
/// every snapshot, whose size is bounded (the node asserts it).
pub const OPEN_BYTES_MAX: u64 = 320 << 20;
/// The most bytes of open runs with the results in them; above it no lease is granted and a submission gets `book_full` and
/// keeps its lease. The double of what posts may take, so that a full book can still be worked off.
pub const HELD_BYTES_MAX: u64 = 2 * OPEN_BYTES_MAX;
/// What a step counts beside its texts and results, in bytes: no less than its snapshot row, with its escrow's account.
pub const STEP_FIXED_BYTES: usize = 488;
/// What a redo that is under way counts, in bytes: no less than its part of a snapshot row.
pub const REDO_BYTES: usize = 256;
/// What a run counts beside its texts and steps, in bytes: no less than the rest of its snapshot row.
pub const RUN_FIXED_BYTES: usize = 320;
/// What a submission counts beside its artifacts and findings, in bytes: no less than its part of a snapshot row.
pub const HANDED_FIXED_BYTES: usize = 256;
/// The part of the open book's steps and bytes that is the operator's alone: one in so many. At the rest, agents' posts get
/// `book_full`, so that they cannot shut the operator out.
pub const OPERATOR_PART: u64 = 4;
/// The most requests that wait for a task; at the limit a waiting claim gets `too_many_waiting`.
pub const WAITERS_MAX: usize = 16_384;
/// The longest wait for a task, in milliseconds; a longer one is cut to this. Proxies close quiet requests after 60 s.
pub const WAIT_MS_MAX: u32 = 30_000;
/// How long a post's key is remembered, in milliseconds (24 h).
pub const POST_KEY_MS: u64 = 24 * 3_600_000;
/// The most post keys remembered of all agents, and as many of the operator; at the limit a post with a key gets
/// `book_full`. Each costs about 150 bytes. Two books, so that agents cannot shut the operator out.
pub const POST_KEYS_MAX: usize = 100_000;
/// The most post keys remembered of one agent; at the limit its posts with a key get `book_full`. Runs of no steps count
/// here alone: nothing else of them stays, however many there are.
pub const AGENT_POST_KEYS_MAX: usize = 10_000;
/// What a post key takes in a snapshot, in bytes, and a little more.
pub const POST_KEY_BYTES: usize = 160;
/// How many finished runs stay in memory, so that a repeated submission gets the same answer at once. They stand in every
/// snapshot; more would make each start longer.
pub const RECENT_RUNS: usize = 1_024;
/// How many steps those runs have in all; each holds at most four texts of [`RECENT_BYTES`].
pub const RECENT_STEPS: usize = 8_192;
/// How many bytes those runs have in all; the oldest go first. Many submissions of one step weigh more than its texts. In memory they
/// may take twice as many, as runs and encoded.
pub const RECENT_RUNS_BYTES: u64 = 64 << 20;
/// The most open steps that one agent has posted; at the limit its posts get `book_full`. The operator has no such limit.
pub const AGENT_OPEN_STEPS_MAX: usize = 10_000;
/// The most bytes of open runs that one agent has posted (32 MiB, a tenth of the book); at the limit its posts get
/// `book_full`. The operator has no such limit.
pub const AGENT_OPEN_BYTES_MAX: u64 = 32 << 20;
/// The most bytes of one agent's open runs with the results in them; above it their steps are not granted until some are
/// done. Leases that live may still be handed in: the worker is not to pay for the poster.
pub const AGENT_HELD_BYTES_MAX: u64 = 2 * AGENT_OPEN_BYTES_MAX;
/// The most bytes of texts, inputs and schemas in one run (3 MiB): it is one journal entry of at most 4 MiB.
pub const RUN_BYTES_MAX: usize = 3 << 20;
/// How many entries one pass over due timers makes before it lets others in; what is left is due at once again.
pub const TICK_ENTRIES_MAX: usize = 1_024;
/// How many agents of those who wait are looked at for one offer, longest waiting first. More would make an offer's cost
/// grow with the number of agents that wait without qualifying.
pub const WAITERS_LOOKED_AT_MAX: usize = 1_024;
/// The most bytes of a rejection's findings that are kept: enough to say what is wrong, too few to fill a disk.
pub const FINDINGS_BYTES_MAX: usize = 4 << 10;
/// Outputs and inputs above this many bytes leave memory when their run is finished (they stand in the journal).
pub const RECENT_BYTES: usize = 1_024;
/// The most releases of one step; at the limit it fails like one whose lapses are spent, so that taking and giving back
/// cannot fill the disk.
pub const RELEASES_MAX: u8 = 64;
/// How soon after its grant a lease is given back unused, in milliseconds: an agent that waits at two homes may win at both, and gives
/// one back at once. Longer, and who looks at the work first takes it for nothing; shorter, and a slow way back makes it a release.
pub const UNUSED_MS: u64 = 5_000;
/// The most leases of one step that are given back unused, each by another agent; further ones are releases.
pub const UNUSED_MAX: usize = 64;
/// The most (principal, code) pairs whose refusals are added up in a minute; beyond it refusals are not counted.
pub const REFUSALS_MAX: usize = 4_096;
/// The longest a deadline may lie ahead, in milliseconds (a year).
pub const DEADLINE_MS_MAX: u64 = 366 * 24 * 3_600_000;
/// How far wall clocks may differ when a credential is judged, in milliseconds (decision 20).
pub const CLOCK_SKEW_MS: u64 = 300_000;

/// The most agents of one other node that are known here; at the limit further ones get `too_many`. A member must not fill
/// [`AGENTS_MAX`] alone.
pub const GUESTS_PER_NODE_MAX: usize = 4_096;
/// The most agents of other nodes that are known here, three quarters of all; for a further one those make room that have
/// never won anything, and where there is none it gets `too_many`. The rest is for agents that enroll here.
pub const GUESTS_MAX: usize = AGENTS_MAX / OPERATOR_PART as usize * (OPERATOR_PART as usize - 1);
/// The most bytes of them, counted as for [`AGENTS_BYTES_MAX`]; at the limit as for [`GUESTS_MAX`].
pub const GUESTS_BYTES_MAX: u64 = AGENTS_BYTES_MAX / OPERATOR_PART * (OPERATOR_PART - 1);
/// How many guests make room for one at the most: no fewer than the smallest of them that take as much as the largest.
pub const FORGOTTEN_MAX: usize = 8;
/// How many changes to what is known of its agents one other node may cause at once; then one each [`NODE_CHANGE_MS`]. Fewer,
/// and the agents of a large node come in slowly after its home's start. A further one gets `too_many`.
pub const NODE_CHANGES_BURST: u64 = 256;
/// How long each of them takes to be forgiven, in milliseconds. At some 4 KB each a node that does its worst adds 4 KB a
/// second to this one's journal, and only where its agents win or wait.
pub const NODE_CHANGE_MS: u64 = 1_000;
/// How often what is known of another node's agent may change, in milliseconds: each change is an entry, which the other
/// node causes and this one keeps. A sooner one gets `too_many`.
pub const GUEST_CHANGE_MS: u64 = 60_000;
/// For how many results accepted here an agent of another node gets one lease more at once. Fewer, and a handful of easy
/// tasks buys the power to hold many hard ones back; more, and good workers wait.
pub const GUEST_ACCEPTED_PER_LEASE: u64 = 2;
/// The most bytes that the winner of a step is told where it is an agent of another node (3 MiB): one frame has at most 4 MiB.
/// A step that needs more is for agents of its own home.
pub const LEASE_ABROAD_BYTES_MAX: usize = 3 << 20;
/// The most of the same where it is told in the answer to a result (192 KiB): that answer is one direct frame of 320 KiB with
/// the receipt in it, and cannot be fetched. A step that needs more is had by a claim.
pub const NEXT_ABROAD_BYTES_MAX: usize = 192 << 10;
/// The most bytes that home fetches for one result of another node's agent (256 MiB, room for one artifact of the largest
/// size); at the limit the result gets `too_many` and keeps its lease. More would let one newcomer's lease fill the disk.
pub const LEASE_ARTIFACT_BYTES_MAX: u64 = 256 << 20;
/// The most leases and results at other homes that are under way; at the limit claims there get `book_full`. Each costs
/// some 400 bytes, in memory and in every snapshot.
pub const ENGAGEMENTS_MAX: usize = 16_384;
/// How many of these may be of one home (a sixteenth); at the limit claims there get `too_many`. Without, one home that never answers
/// keeps all agents from all other homes' work for a week.
pub const ENGAGEMENTS_OF_HOME_MAX: usize = 1_024;
/// How many of these may be of one agent (a quarter); at the limit its claims elsewhere get `too_many`. More than one home's, which
/// alone keeps no agent from other homes.
pub const ENGAGEMENTS_OF_AGENT_MAX: usize = 4_096;
/// How many of those are remembered once they are judged, so that the same result again is known and gets the same answer. Fewer,
/// and an agent that hands in again after its answer was lost is told that it holds nothing.
pub const CONCLUDED_MAX: usize = 1_024;
/// What one takes in a snapshot, in bytes, and a little more.
pub const ENGAGEMENT_BYTES: usize = 384;
/// For how long a result waits in the outbox for its home, and a lease's result for a verdict, in milliseconds (seven days).
/// Then it is let go; what was recorded stays.
pub const OUTBOX_MS: u64 = 7 * 24 * 3_600_000;
/// For how long after a start no home is called silent, in milliseconds: neighbours come up and what was said meanwhile is heard
/// (a minute). Shorter, and a node that was away itself accuses homes that have answered.
pub const HEARD_AGAIN_MS: u64 = 60_000;
/// How many terms a lease at another home may go on here without a renewal: home may have started anew and given it a
/// full term more.
pub const ABROAD_TERMS: u64 = 3;

/// The most nodes that this one has admitted and not expelled; at the limit others get `members_full`. Each costs some 200
/// bytes of memory, and a place in every snapshot.
pub const MEMBERS_MAX: usize = 65_536;
/// The most nodes that are expelled; at the limit an expulsion gets `too_many`. They are remembered so that they stay out.
pub const EXPELLED_MAX: usize = 16_384;
/// The most invitations that are not taken back; at the limit a new one takes the place of the one that has been over for
/// longest, and gets `too_many` where all of them are live.
pub const INVITATIONS_MAX: usize = 1_024;
/// The longest that an invitation is good, in milliseconds (90 days, as a token). A lost one is a danger for as long.
pub const INVITATION_MS_MAX: u64 = TOKEN_MS_MAX;
/// The most nodes that one invitation lets in; more than there may be members says nothing.
pub const INVITATION_USES_MAX: u32 = MEMBERS_MAX as u32;
/// The most bytes of an expulsion's reason: a sentence, which stands in a public record and in memory.
pub const REASON_BYTES_MAX: usize = 256;
/// What a member takes in a snapshot, in bytes, and a little more.
pub const MEMBER_BYTES: usize = 96;
/// What an expelled node takes in a snapshot, in bytes, and a little more.
pub const EXPELLED_BYTES: usize = 384;
/// What an invitation takes in a snapshot, in bytes, and a little more.
pub const INVITATION_ROW_BYTES: usize = 72;

/// The most results that are remembered to be refuted, so that none is twice. Larger, and snapshots grow for what never happens;
/// at the limit none is refuted any more.
pub const REFUTED_MAX: usize = 65_536;
/// What one takes in a snapshot, in bytes.
pub const REFUTED_BYTES: usize = 24;

/// How many steps of an agent's own a refutation of its result ends at most, those among them that need another one, so that what
/// they set aside can go back: as many as a run has. More, and one input would write that many more entries; what further ones set
/// aside stays the agent's.
pub const OWN_STEPS_ENDED_MAX: usize = 200;
/// The most bytes that the end of one of them writes, with what asked for it, a lease that is withdrawn, what goes back, and the end
/// of its run.
pub const OWN_STEP_ENDED_BYTES: usize = 2_048;
/// The most bytes that a refutation writes, in one frame of the journal.
pub const REFUTATION_BYTES_MAX: usize = (OWN_STEPS_ENDED_MAX + 1) * OWN_STEP_ENDED_BYTES;

/// The most bytes of a snapshot: refuted results, nodes and invitations, open runs with their results and one submission beyond, agents, recent runs, post keys,
/// and a mebibyte for the head and that submission. Accounts count with their agents and steps.
pub const SNAPSHOT_BYTES_MAX: u64 = HELD_BYTES_MAX
    + AGENTS_BYTES_MAX
    + RECENT_RUNS_BYTES
    + (2 * POST_KEYS_MAX * POST_KEY_BYTES) as u64
    + (MEMBERS_MAX * MEMBER_BYTES + EXPELLED_MAX * EXPELLED_BYTES) as u64
    + (INVITATIONS_MAX * INVITATION_ROW_BYTES) as u64
    + ((ENGAGEMENTS_MAX + CONCLUDED_MAX) * ENGAGEMENT_BYTES) as u64
    + (REFUTED_MAX * REFUTED_BYTES) as u64
    + (1 << 20);

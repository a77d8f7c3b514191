//! Planted bugs of the mesh, so that it is seen that its invariants notice. They sit in the simulator's own shell: the crates
//! that ship carry no hook for them. Where each one bites is a `match` or an `if` on [`MeshSabotage`] beside the right way.

macro_rules! sabotages {
    ($($variant:ident $name:literal $caught:expr, $doc:literal;)*) => {
        /// A planted bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
        pub enum MeshSabotage { $(#[doc = $doc] $variant,)* }

        impl MeshSabotage {
            /// All of them.
            pub const ALL: &[MeshSabotage] = &[$(MeshSabotage::$variant),*];

            /// The name on the command line.
            pub fn name(self) -> &'static str {
                match self { $(MeshSabotage::$variant => $name),* }
            }

            /// What it breaks, in a sentence.
            pub fn what(self) -> &'static str {
                match self { $(MeshSabotage::$variant => $doc),* }
            }

            /// The invariants of which one must notice it.
            pub fn caught_by(self) -> &'static [&'static str] {
                match self { $(MeshSabotage::$variant => &$caught),* }
            }
        }
    };
}

sabotages! {
    PublishUnsynced "publish-unsynced" ["invariant_what_was_shown_is_synced", "invariant_a_sound_disk_opens"],
        "The disk says that a journal's segment is synced, and it is not: what is published may be gone after a power loss.";
    RecordsUnsynced "records-unsynced" ["invariant_kept_records_survive"],
        "The disk says that a segment of others' records is synced, and it is not.";
    WitnessUnsynced "witness-unsynced" ["invariant_the_witness_remembers"],
        "The disk says that the witness table is synced, and it is not: heads are cosigned that are forgotten by a power loss.";
    WitnessForgotten "witness-forgotten" ["invariant_the_witness_remembers"],
        "A start begins with an empty witness table.";
    MembershipUnchecked "membership-unchecked" ["invariant_only_members_are_kept"],
        "Records of whoever writes are kept.";
    ProofUnchecked "proof-unchecked" ["invariant_kept_records_verify", "invariant_honest_nodes_are_not_blamed"],
        "Records whose proof or signature does not hold are kept.";
    ForeignTaken "foreign-taken" ["invariant_kept_records_verify", "invariant_honest_nodes_are_not_blamed"],
        "Records of another federation are kept as if they were of this one.";
    GapTaken "gap-taken" ["invariant_marks_are_held"],
        "A mark follows the highest record that is held, whatever is missing below it.";
    MarkBeforeData "mark-before-data" ["invariant_marks_are_held"],
        "A mark is advanced for records that are never written.";
    MarkStuck "mark-stuck" ["invariant_marks_are_held", "invariant_members_agree"],
        "Marks are not advanced when records are kept.";
    ExpulsionIgnored "expulsion-ignored" ["invariant_membership_is_as_heard"],
        "Expulsions that are heard change nothing.";
    AdmissionsUnheard "admissions-unheard" ["invariant_membership_is_as_heard"],
        "Admissions that are fetched or gossiped are kept and not understood.";
    ChainTooLong "chain-too-long" ["invariant_neighbours_are_members"],
        "A chain of admissions may have any length.";
    StrangerWelcomed "stranger-welcomed" ["invariant_admissions_have_grounds"],
        "Whoever the rules refuse is admitted in the operator's name.";
    ForwardUnjudged "forward-unjudged" ["invariant_nothing_is_forwarded_unjudged"],
        "Gossip is passed on before it is judged.";
    CopiesJudged "copies-judged" ["invariant_a_message_is_judged_once"],
        "Every copy of a message is taken for a new one.";
    NeverAsks "never-asks" ["invariant_members_agree"],
        "Nothing is ever fetched: what gossip lost stays lost.";
    TurnKept "turn-kept" ["invariant_members_agree"],
        "A neighbour's turn to bring a journal never ends, whatever it brings.";
    AlwaysSame "always-same" ["invariant_members_agree"],
        "Whoever asks is answered that all is equal.";
    WantBehindHoles "want-behind-holes" ["invariant_members_agree"],
        "What is wanted begins behind the highest record that is held, so that holes stay.";
    OtherJournalGiven "other-journal-given" ["invariant_honest_nodes_are_not_blamed"],
        "Whoever wants a journal's records gets those of this node's own.";
    PrivateMadePublic "private-made-public" ["invariant_only_public_facts_travel"],
        "Private facts are journalled as public entries, and so they travel.";
    StaleCosigned "stale-cosigned" ["invariant_cosigned_heads_only_grow"],
        "A head that is older than the one that is remembered is cosigned.";
    LieShrugged "lie-shrugged-off" ["invariant_no_contradiction_is_passed_over"],
        "Another root of the size that is remembered is taken for the same head.";
    AnswerUnchecked "answer-unchecked" ["invariant_cosigned_heads_never_contradict"],
        "A node's answer to how its head continues an older one is believed without a proof.";
    FraudUnchecked "fraud-unchecked" ["invariant_frauds_name_liars"],
        "A proof of fraud is believed as it comes.";
    StrangerCosigned "stranger-cosigned" ["invariant_members_alone_are_cosigned"],
        "Heads of whoever writes are cosigned.";
    CapIgnored "cap-ignored" ["invariant_bounds_hold"],
        "An author may fill the store of others' records.";
    WonByAnother "won-by-another" ["invariant_one_winner_across_nodes"],
        "What one agent of a node has won elsewhere is written down for another one.";
    LeaseForAnybody "lease-for-anybody" ["invariant_secrets_go_to_whom_they_are_for"],
        "A home gives a lease that waits to be fetched to whoever asks for it.";
    FilesForAnybody "files-for-anybody" ["invariant_secrets_go_to_whom_they_are_for"],
        "Whoever knows a file's digest gets it.";
    HandedInUnwritten "handed-in-unwritten" ["invariant_promises_to_agents_are_written"],
        "An agent is told that its result is handed in before that is written down.";
    SilenceEnds "silence-ends" ["invariant_handed_in_is_not_lost"],
        "A home that does not answer in time is taken for one that refuses a result for good.";
    WordsMisread "words-misread" ["invariant_words_of_homes_are_theirs"],
        "A home's acknowledgement is written down with another place in its journal.";
    PaidShort "paid-short" ["invariant_money_sums_to_zero"],
        "A payment's entry has one unit less for whom it pays.";
    OutboxForgets "outbox-forgets" ["invariant_the_market_comes_to_rest"],
        "A result is brought once and never again.";
    WrongRecordNamed "wrong-record-named" ["invariant_one_receipt_each"],
        "A result names another record than the one in which it was handed in.";
    VerdictsUnheard "verdicts-unheard" ["invariant_answered_homes_are_not_called_silent"],
        "What homes' records say of results is not heard.";
    NobodyAgrees "nobody-agrees" ["invariant_runs_are_what_they_came_to"],
        "Where nobody can run a step again, it is said to be right.";
    DoubterAskedAgain "doubter-asked-again" ["invariant_the_honest_are_not_refuted"],
        "Whoever came to another result is asked a second time in place of another one.";
    LateUnchecked "late-unchecked" ["invariant_the_honest_are_not_refuted"],
        "A result that is run again after its verdict is refuted also where the run agrees.";
    RecalledTwice "recalled-twice" ["invariant_refuted_once_and_taken_back"],
        "A refuted result, and what goes back for it, is journalled a second time.";
    RefutationsUntold "refutations-untold" ["invariant_refutations_reach_their_agents"],
        "What homes' records say of accepted results that were refuted is not told to the rules of the agents' node.";
    RefutationsForgotten "refutations-forgotten" ["invariant_books_are_what_journals_say"],
        "Evidence reads that a result was refuted after its verdict as if it said nothing.";
    LotMadeUp "lot-made-up" ["invariant_lots_are_their_witnesses"],
        "A home makes up what a witness has signed, and so the lot that it likes.";
    WorkerRunsItself "worker-runs-itself" ["invariant_runs_are_what_they_came_to"],
        "A result is run again by the node that handed it in.";
    RejectionsForgotten "rejections-forgotten"
        [
            "invariant_forged_summaries_alone_are_flagged",
            "invariant_books_are_what_journals_say",
            "invariant_books_are_equal_whatever_is_followed",
        ],
        "Evidence reads other nodes' rejections as if they said nothing.";
    AllForget "all-forget" ["invariant_books_are_what_journals_say"],
        "Evidence reads everybody's rejections as if they said nothing.";
    ForgeryShrugged "forgery-shrugged-off" ["invariant_forged_summaries_alone_are_flagged"],
        "A summary that is not what the records say is taken for one that is.";
    ComparedUnread "compared-unread" ["invariant_forged_summaries_alone_are_flagged"],
        "Summaries are compared by nodes that have read something else.";
    ShardsForAll "shards-for-all" ["invariant_gossip_is_what_is_followed"],
        "What is said of a shard goes to neighbours that do not follow it, too.";
    InterestStale "interest-stale" ["invariant_agents_hear_of_their_offers"],
        "Agents that enroll change nothing of what is followed.";
    UnfollowedUnread "unfollowed-unread" ["invariant_books_are_equal_whatever_is_followed"],
        "Evidence reads payments for steps that were offered in a shard that is not followed as if they said nothing.";
    EndedServed "ended-served" ["invariant_no_visit_rests_on_what_ended"],
        "A home serves visits also on what it has heard the end of.";
    EndingsUnheard "endings-unheard"
        ["invariant_no_visit_rests_on_what_ended", "invariant_endings_reach_every_home"],
        "What nodes' records say of delegations that ended is not heard.";
    EndingsForgotten "endings-forgotten"
        ["invariant_no_visit_rests_on_what_ended", "invariant_endings_reach_every_home"],
        "A start does not find again which delegations have ended.";
    WaitsGoOn "waits-go-on" ["invariant_no_visit_rests_on_what_ended"],
        "A claim that waits at a home goes on waiting when the delegation is over on which it rests.";
    EndedForGood "ended-for-good" ["invariant_delegated_anew_is_served"],
        "Whose delegation has ended once is not served on a newer one.";
    UndelegatedStuck "undelegated-stuck" ["invariant_the_market_comes_to_rest"],
        "A result for which its agent's node has no delegation counts as brought, also when there is one again.";
    EndingUntold "ending-untold" ["invariant_endings_reach_every_home"],
        "A node keeps to itself that a delegation is over.";
    StandingUnordered "standing-unordered" ["invariant_honest_homes_break_no_rule"],
        "Homes' records are followed in the order in which they come.";
}

impl MeshSabotage {
    /// Whether it is a bug of the market, so that only a world with one shows it.
    pub fn is_of_market(self) -> bool {
        self >= MeshSabotage::WonByAnother
    }

    /// The planted bug of that name.
    pub fn parse(name: &str) -> Option<MeshSabotage> {
        MeshSabotage::ALL.iter().copied().find(|sabotage| sabotage.name() == name)
    }
}

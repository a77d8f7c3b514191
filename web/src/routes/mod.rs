//! The table of all routes: one row, one handler. Paths under `/v1` are also reached under `/api/v1`.
//!
//! A row with a sentence and codes is an operation of the API's document, which takes the rest from the handler's types; the
//! codes are those that the service gives beside what any request, its caller and its arguments may meet. A row without is a page
//! for people, or what a page needs.

mod agents;
pub(crate) mod artifacts;
mod audit;
mod auth;
mod doctor;
mod enroll;
mod events;
mod homes;
mod invitations;
mod log;
mod metrics;
mod node;
mod nodes;
mod notifications;
mod openapi;
mod peers;
mod runs;
mod tasks;

use crate::app::{self, App};
use crate::openapi::{Row, describe};
use crate::problem::Code;
use crate::service::Service;
use crate::socket;
use crate::ui;
use axum::Router;
use axum::routing::{delete, get, patch, post, put};

macro_rules! routes {
    ($($method:ident $path:literal $module:ident :: $handler:ident $($summary:literal [$($code:ident)*])?;)*) => {
        /// Every route: method and path.
        pub const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path),)*];

        /// The router over a service.
        pub(crate) fn router<S: Service>(app: App<S>) -> Router {
            Router::new()
                $(.route($path, $method($module::$handler::<S>)))*
                .merge(ui::router::<S>())
                .fallback(app::route_unknown)
                .method_not_allowed_fallback(app::method_not_allowed)
                .with_state(app)
        }

        /// The rows that are operations of the API.
        pub(crate) fn rows<S: Service>() -> Vec<Row> {
            [$($(Some(Row {
                method: stringify!($method),
                path: $path,
                module: stringify!($module),
                handler: stringify!($handler),
                summary: $summary,
                codes: &[$(Code::$code,)*],
                describe: |operation| describe::of(&$module::$handler::<S>, operation),
            }),)?)*].into_iter().flatten().collect()
        }
    };
}

routes! {
    get "/openapi" openapi::page;
    get "/openapi.css" openapi::style;
    get "/openapi.json" openapi::document "Gives this document" [];
    get "/healthz" node::health "Says that the process answers" [];
    get "/readyz" node::ready "Says that the node takes work" [];
    get "/metrics" metrics::show "Gives what the node measures, for Prometheus" [];
    get "/v1/health" node::health "Says how the node is" [];
    get "/.well-known/jwks.json" node::jwks "Gives the key that agents' tokens are signed with" [];
    get "/log/checkpoint" log::checkpoint "Gives the last signed checkpoint of the audit log" [];
    get "/log/tile/{*tile}" log::tile "Gives a tile or an entry bundle of the audit log" [BadTile NotInLog];

    post "/v1/enroll" enroll::enroll "Asks for a challenge to sign, to enroll a key" [AgentRevoked TooMany];
    post "/v1/enroll/{id}/respond" enroll::respond "Answers the challenge and gets a token"
        [AgentRevoked ChallengeUnknown ChallengeExpired BadSignature TooMany];
    get "/v1/auth/verify" auth::verify "Says whom the token names and how long it is good" [];
    post "/v1/auth/rotate" auth::rotate "Gives a new token for a signed statement; the old one ends"
        [BadSignature BadStatement];
    post "/v1/auth/revoke" auth::revoke "Ends the agent's tokens by a signed statement" [BadSignature BadStatement];

    get "/v1/agents" agents::list "Lists agents" [];
    get "/v1/agents/me" agents::me "Shows the caller as it sees itself" [];
    patch "/v1/agents/me/config" agents::configure "Changes the caller's name, skills, notes or capacity" [TooMany];
    get "/v1/agents/me/earnings" agents::earnings "Says what the caller earned" [];
    get "/v1/agents/me/contributions" agents::contributions "Lists the caller's payments" [];
    get "/v1/agents/{did}" agents::show "Shows an agent" [NotFound];
    post "/v1/agents/{did}/revoke" agents::revoke "Lets an agent go" [NotFound];
    get "/v1/agents/{did}/reputation" agents::reputation "Gives an agent's score and what it rests on" [NotFound];
    get "/v1/agents/{did}/history" agents::history "Lists an agent's work" [NotFound Forbidden];

    get "/v1/tasks" tasks::list "Lists tasks, the open ones unless another status is asked for" [NotFound];
    post "/v1/tasks" tasks::post "Posts a task"
        [InputTooLarge TooMany BadSchema RunnerUnavailable ArtifactMissing InsufficientCredit BookFull];
    post "/v1/tasks/claim" tasks::claim_next "Claims the next task that fits, waiting for one if asked to"
        [NotDelegated BadStatement BadSignature NotFound CapacityFull TooManyWaiting NotQualified StaleEpoch
         BookFull TooMany Barred HomeUnreachable HomeSilent HomeDishonest HomeRefused];
    get "/v1/tasks/{id}" tasks::show "Shows a task" [NotFound];
    post "/v1/tasks/{id}/claim" tasks::claim "Claims a task"
        [NotFound TaskTaken TaskNotOpen OfferWindow NotQualified CapacityFull Barred Finished TooManyWaiting
         BookFull TooMany StaleEpoch NotDelegated BadStatement BadSignature HomeUnreachable HomeSilent HomeDishonest HomeRefused];
    post "/v1/tasks/{id}/renew" tasks::renew "Keeps a lease going"
        [NotFound StaleEpoch RenewalSpent Finished AlreadySubmitted NotDelegated BadStatement BadSignature
         HomeUnreachable HomeSilent HomeDishonest HomeRefused];
    post "/v1/tasks/{id}/release" tasks::release "Gives a lease back"
        [NotFound StaleEpoch Finished AlreadySubmitted NotDelegated BadStatement BadSignature HomeUnreachable
         HomeSilent HomeDishonest HomeRefused];
    post "/v1/tasks/{id}/submit" tasks::submit "Hands in a result, and claims the next task if asked to"
        [NotFound OutputTooLarge TooManyArtifacts ArtifactMissing ArtifactQuota StaleEpoch AlreadySubmitted
         Finished BookFull TooMany NotQualified CapacityFull TooManyWaiting NotDelegated BadStatement BadSignature HomeUnreachable HomeSilent HomeDishonest HomeRefused];
    post "/v1/tasks/{id}/cancel" tasks::cancel "Cancels a task" [NotFound Forbidden Finished];
    post "/v1/tasks/{id}/redo" tasks::redo "Runs an accepted result again, in the node's own sandbox"
        [NotFound TaskNotOpen RunnerUnavailable Invalid TooMany TooManyWaiting];
    get "/v1/tasks/{id}/receipt" tasks::receipt "Gives the receipt of a task's outcome, to be verified by anybody"
        [NotFound];

    get "/v1/agent/connect" socket::connect "Opens a WebSocket: many calls at once, and events as they happen"
        [TooManySockets];

    get "/v1/notifications" notifications::list "Lists what the caller was told, as long as it is not marked read"
        [CursorAhead CursorForeign];
    post "/v1/notifications/mark-read" notifications::mark_read "Marks notifications as read"
        [BadQuery CursorAhead CursorForeign];

    get "/v1/offers" tasks::offers "Lists what other homes offer" [];
    get "/v1/homes" homes::list "Lists other homes and how they deal with workers" [];

    get "/v1/runs" runs::list "Lists runs" [];
    post "/v1/runs" runs::post "Posts a run of steps"
        [Forbidden InputTooLarge TooMany BadSchema RunnerUnavailable ArtifactMissing InsufficientCredit BookFull Cycle
         UnknownNeed DuplicateStep TooManySteps BlueprintUnknown];
    get "/v1/runs/{id}" runs::show "Shows a run" [NotFound];
    post "/v1/runs/{id}/cancel" runs::cancel "Cancels a run" [NotFound Forbidden Finished];
    get "/v1/runs/{id}/steps" runs::steps "Lists a run's steps" [NotFound];
    get "/v1/runs/{id}/steps/{step_id}" runs::step "Shows a step" [NotFound];

    get "/v1/artifacts" artifacts::list "Lists artifacts" [NotFound];
    post "/v1/artifacts" artifacts::post "Enters an artifact: with its content, or to be put"
        [NotFound Forbidden TooMany ArtifactTooLarge ArtifactQuota DigestMismatch DigestRequired];
    get "/v1/artifacts/{name}" artifacts::show "Shows an artifact's entry (a UUID) or its bytes (sha256:…)"
        [NotFound ArtifactMissing ArtifactQuota HomeUnreachable HomeSilent HomeDishonest HomeRefused];
    put "/v1/artifacts/{name}" artifacts::put "Puts the bytes of an artifact"
        [NotFound Forbidden Invalid TooMany ArtifactQuota DigestMismatch IdempotencyConflict Finished];
    get "/v1/artifacts/{name}/download" artifacts::download "Gives an artifact's bytes"
        [NotFound ArtifactMissing ArtifactQuota HomeUnreachable HomeSilent HomeDishonest HomeRefused];

    get "/v1/events" events::list "Lists events, waiting for one if asked to" [CursorAhead];
    post "/v1/events" events::emit "Says that something happened" [NotFound TooMany];
    get "/v1/events/{id}" events::show "Shows an event" [NotFound];

    get "/v1/peers" peers::list "Lists neighbours" [];
    get "/v1/journals" peers::journals "Lists what is kept of others' journals" [];
    get "/v1/traffic" peers::traffic "Says what went through the mesh" [];
    get "/v1/doctor" doctor::examine "Says what the node finds when it examines itself and its machine" [];
    get "/v1/nodes" nodes::list "Lists the nodes of the federation" [];
    post "/v1/nodes/{did}/expel" nodes::expel "Expels a node" [Forbidden TooMany];
    post "/v1/nodes/{did}/admit" nodes::admit "Lets a node in by name" [MembersFull];
    get "/v1/invitations" invitations::list "Lists invitations" [];
    post "/v1/invitations" invitations::post "Makes an invitation; its text is shown once" [TooMany Forbidden];
    delete "/v1/invitations/{digest}" invitations::revoke "Takes an invitation back" [NotFound OutcomeUnknown];

    get "/v1/audit/entries" audit::entries "Lists entries of the journal" [];
    get "/v1/audit/entries/{index}" audit::entry "Shows an entry of the journal" [NotFound NotInLog Forbidden];
    get "/v1/audit/proof/{index}" audit::proof "Proves that an entry stands in the journal" [NotFound NotInLog];
    get "/v1/ledger/accounts" audit::accounts "Lists accounts" [];
}

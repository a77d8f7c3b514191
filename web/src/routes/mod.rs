//! The table of all routes: one row, one handler. Paths under `/v1` are also reached under `/api/v1`.

mod agents;
mod artifacts;
mod audit;
mod auth;
mod enroll;
mod events;
mod homes;
mod invitations;
mod log;
mod node;
mod nodes;
mod peers;
mod runs;
mod tasks;

use crate::app::{self, App};
use crate::service::Service;
use axum::Router;
use axum::routing::{delete, get, patch, post, put};

macro_rules! routes {
    ($($method:ident $path:literal $module:ident :: $handler:ident;)*) => {
        /// Every route: method and path.
        pub const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path),)*];

        /// The router over a service.
        pub(crate) fn router<S: Service>(app: App<S>) -> Router {
            Router::new()
                $(.route($path, $method($module::$handler::<S>)))*
                .fallback(app::route_unknown)
                .method_not_allowed_fallback(app::method_not_allowed)
                .with_state(app)
        }
    };
}

routes! {
    get "/" node::page;
    get "/style.css" node::style;
    get "/healthz" node::health;
    get "/readyz" node::ready;
    get "/v1/health" node::health;
    get "/.well-known/jwks.json" node::jwks;
    get "/log/checkpoint" log::checkpoint;
    get "/log/tile/{*tile}" log::tile;

    post "/v1/enroll" enroll::enroll;
    post "/v1/enroll/{id}/respond" enroll::respond;
    get "/v1/auth/verify" auth::verify;
    post "/v1/auth/rotate" auth::rotate;
    post "/v1/auth/revoke" auth::revoke;

    get "/v1/agents" agents::list;
    get "/v1/agents/me" agents::me;
    patch "/v1/agents/me/config" agents::configure;
    get "/v1/agents/me/earnings" agents::earnings;
    get "/v1/agents/me/contributions" agents::contributions;
    get "/v1/agents/{did}" agents::show;
    post "/v1/agents/{did}/revoke" agents::revoke;
    get "/v1/agents/{did}/reputation" agents::reputation;
    get "/v1/agents/{did}/history" agents::history;

    get "/v1/tasks" tasks::list;
    post "/v1/tasks" tasks::post;
    post "/v1/tasks/claim" tasks::claim_next;
    get "/v1/tasks/{id}" tasks::show;
    post "/v1/tasks/{id}/claim" tasks::claim;
    post "/v1/tasks/{id}/renew" tasks::renew;
    post "/v1/tasks/{id}/release" tasks::release;
    post "/v1/tasks/{id}/submit" tasks::submit;
    post "/v1/tasks/{id}/cancel" tasks::cancel;
    post "/v1/tasks/{id}/redo" tasks::redo;
    get "/v1/tasks/{id}/receipt" tasks::receipt;

    get "/v1/offers" tasks::offers;
    get "/v1/homes" homes::list;

    get "/v1/runs" runs::list;
    post "/v1/runs" runs::post;
    get "/v1/runs/{id}" runs::show;
    post "/v1/runs/{id}/cancel" runs::cancel;
    get "/v1/runs/{id}/steps" runs::steps;
    get "/v1/runs/{id}/steps/{step_id}" runs::step;

    get "/v1/artifacts" artifacts::list;
    post "/v1/artifacts" artifacts::post;
    get "/v1/artifacts/{name}" artifacts::show;
    put "/v1/artifacts/{name}" artifacts::put;
    get "/v1/artifacts/{name}/download" artifacts::download;

    get "/v1/events" events::list;
    post "/v1/events" events::emit;
    get "/v1/events/{id}" events::show;

    get "/v1/peers" peers::list;
    get "/v1/journals" peers::journals;
    get "/v1/traffic" peers::traffic;
    get "/v1/nodes" nodes::list;
    post "/v1/nodes/{did}/expel" nodes::expel;
    post "/v1/nodes/{did}/admit" nodes::admit;
    get "/v1/invitations" invitations::list;
    post "/v1/invitations" invitations::post;
    delete "/v1/invitations/{digest}" invitations::revoke;

    get "/v1/audit/entries" audit::entries;
    get "/v1/audit/entries/{index}" audit::entry;
    get "/v1/audit/proof/{index}" audit::proof;
    get "/v1/ledger/accounts" audit::accounts;
}

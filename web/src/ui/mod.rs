//! The dashboard: pages rendered on the server over the same trait as the API, and the little that runs in a browser.
//! A page shows what its visitor's calls give; it knows no rule, and whatever others wrote is text in it.

mod agents;
mod artifacts;
mod assets;
mod audit;
mod doctor;
mod events;
mod form;
mod graph;
mod invitations;
mod ledger;
mod live;
mod mesh;
mod notices;
mod overview;
mod page;
mod pager;
mod pretty;
mod public;
mod ring;
mod runs;
mod session;
mod settings;
mod show;
mod sign_in;
mod tasks;
mod timeline;
mod trend;
mod visitor;

pub(crate) use page::{Visit, is_page, problem};
pub(crate) use session::Sessions;

use crate::app::App;
use crate::service::Service;
use axum::Router;
use axum::routing::{get, post};

macro_rules! pages {
    ($($method:ident $path:literal $module:ident :: $handler:ident;)*) => {
        /// Every page, and what pages call: method and path. None of it is for programs.
        pub const PAGES: &[(&str, &str)] = &[$((stringify!($method), $path),)*];

        /// The router of the pages.
        pub(crate) fn router<S: Service>() -> Router<App<S>> {
            Router::new()$(.route($path, $method($module::$handler::<S>)))*
        }
    };
}

pages! {
    get "/" public::show;
    get "/ui/assets/{version}/{name}" assets::show;
    get "/ui/sign-in" sign_in::form;
    post "/ui/sign-in" sign_in::sign_in;
    post "/ui/sign-out" sign_in::sign_out;
    get "/ui/live" live::stream;

    get "/ui" overview::show;
    get "/ui/" page::home;
    get "/ui/runs" runs::list;
    get "/ui/runs/{id}" runs::show;
    post "/ui/runs/{id}/cancel" runs::cancel;
    get "/ui/runs/{id}/steps/{step_id}" runs::step;
    get "/ui/tasks" tasks::list;
    get "/ui/tasks/new" tasks::new;
    post "/ui/tasks" tasks::post;
    get "/ui/tasks/{id}" tasks::show;
    post "/ui/tasks/{id}/cancel" tasks::cancel;
    get "/ui/offers" tasks::offers;
    get "/ui/agents" agents::list;
    get "/ui/agents/{did}" agents::show;
    get "/ui/artifacts" artifacts::list;
    get "/ui/artifacts/{id}" artifacts::show;
    get "/ui/artifacts/{id}/download" artifacts::download;
    get "/ui/artifacts/{id}/image" artifacts::image;
    get "/ui/mesh" mesh::show;
    get "/ui/invitations" invitations::list;
    post "/ui/invitations" invitations::make;
    post "/ui/invitations/{digest}/take-back" invitations::take_back;
    get "/ui/audit" audit::list;
    get "/ui/audit/consistency" audit::consistency;
    get "/ui/audit/{index}" audit::show;
    get "/ui/audit/{index}/proof" audit::proof;
    get "/ui/ledger" ledger::show;
    get "/ui/events" events::list;
    post "/ui/notices/read" notices::read;
    get "/ui/settings" settings::show;
    get "/ui/doctor" doctor::show;
    get "/ui/{*rest}" page::nothing;
}

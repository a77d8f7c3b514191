//! Invitations: the operator makes them, sees which still let somebody in, and takes them back. Their text is shown once, in the
//! answer to the form that made it; no address and no later page has it.

use super::form::{Fields, Posted};
use super::page::{html, see_other};
use super::pager::Pager;
use super::show;
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::problem::{Code, Problem};
use crate::query::{Id, Query, page};
use crate::service::Service;
use crate::types::List;
use crate::types::Page as ListPage;
use crate::types::member::{GivenInvitation, Invitation, InvitationPost, InvitationStatus};
use artel_protocol::id::Digest;
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

/// For how long an invitation may be good, as the form offers it: hours and what they are called.
const TERMS: [(u64, &str); 4] = [(1, "an hour"), (24, "a day"), (7 * 24, "a week"), (30 * 24, "30 days")];
/// The one of these that is chosen to begin with, as `artel invite` has it.
const HOURS_USUAL: u64 = 24;

#[derive(Deserialize)]
pub(super) struct Params {
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "ui/invitations.html")]
struct Page<'a> {
    shell: &'a Shell,
    invitations: &'a [GivenInvitation],
    terms: &'a [(u64, &'static str)],
    draft: Draft<'a>,
    /// The one that was just made.
    made: Option<&'a Invitation>,
    /// What is wrong with what was sent.
    said: Option<&'a str>,
    pager: Pager,
}

/// What the form holds, as it was typed.
struct Draft<'a> {
    uses: &'a str,
    hours: u64,
}

/// `GET /ui/invitations`; the operator's.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Query(params): Query<Params>,
) -> Result<Response, Problem> {
    visitor.must_be_operator()?;
    let wanted = page(None, params.cursor.clone())?;
    let given = app.within(app.service.invitations(&visitor.call, wanted)).await?;
    draw(&visitor, (&given, &params.cursor), Draft { uses: "1", hours: HOURS_USUAL }, Ok(None))
}

/// `POST /ui/invitations`: the answer shows the invitation, or what is wrong with what was sent.
pub(super) async fn make<S: Service>(State(app): State<App<S>>, posted: Posted) -> Result<Response, Problem> {
    let Posted { visitor, fields } = posted;
    visitor.must_be_operator()?;
    let draft = draft(&fields);
    let uses = draft.uses.parse().map_err(|_| {
        Problem::edge_saying(Code::Invalid, "How many nodes it lets in is a whole number from 1 to 65536.")
    });
    let made = match uses {
        Ok(uses) => {
            let post = InvitationPost { uses: Some(uses), for_ms: Some(draft.hours * 3_600_000) };
            app.within(app.service.invite(&visitor.call, post)).await
        }
        Err(problem) => Err(problem),
    };
    let given = app.within(app.service.invitations(&visitor.call, ListPage::default())).await?;
    match made {
        Ok(made) => draw(&visitor, (&given, &None), draft, Ok(Some(&made))),
        Err(problem) if matches!(problem.code.status().as_u16(), 400 | 422) => {
            let mut response = draw(&visitor, (&given, &None), draft, Err(&problem.message))?;
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(response)
        }
        Err(problem) => Err(problem),
    }
}

fn draft(fields: &Fields) -> Draft<'_> {
    let hours = fields.text("hours").parse().ok();
    let known = hours.filter(|hours| TERMS.iter().any(|(known, _)| known == hours));
    Draft { uses: fields.text("uses"), hours: known.unwrap_or(HOURS_USUAL) }
}

fn draw(
    visitor: &Visitor,
    (given, cursor): (&List<GivenInvitation>, &Option<String>),
    draft: Draft<'_>,
    made: Result<Option<&Invitation>, &str>,
) -> Result<Response, Problem> {
    html(&Page {
        shell: &visitor.shell,
        invitations: &given.items,
        terms: &TERMS,
        draft,
        made: made.ok().flatten(),
        said: made.err(),
        pager: Pager::new("/ui/invitations", &[], cursor, &given.next_cursor),
    })
}

/// `POST /ui/invitations/{digest}/take-back`.
pub(super) async fn take_back<S: Service>(
    State(app): State<App<S>>,
    Id(digest): Id<Digest>,
    posted: Posted,
) -> Result<Response, Problem> {
    posted.visitor.must_be_operator()?;
    app.within(app.service.uninvite(&posted.visitor.call, digest)).await?;
    Ok(see_other("/ui/invitations"))
}

//! Forms that pages post. The post must come from a page of this very listener and bear its session's form token; a page of
//! another name can do neither.

use super::visitor::Visitor;
use crate::app::App;
use crate::body::{collect, content_length};
use crate::problem::{Code, Problem};
use crate::service::{Idempotency, Service};
use crate::upload::{Pace, Upload};
use artel_protocol::id::Digest;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::header::{self, HeaderMap};
use axum::response::{IntoResponse as _, Response};

/// The most bytes of a form (1 MiB): a task's input and schema, and what escapes make of them.
const FORM_BYTES_MAX: u64 = 1 << 20;
/// The most bytes of a stranger's form (16 KiB): a token and where to go next. They are held before anybody is known.
const STRANGERS_BYTES_MAX: u64 = 16 << 10;
/// The most fields of a form. Ours have about ten.
const FIELDS_MAX: usize = 64;
/// The field with the form token.
const TOKEN: &str = "form_token";
/// The field with the key under which a post may come twice without effect.
const KEY: &str = "key";

/// A form's fields as they came.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// A field's text, without space around it; empty where there is none.
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value.trim())
    }

    /// Whether a box is ticked.
    pub fn is_ticked(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }
}

/// A post of somebody who is signed in.
pub(super) struct Posted {
    pub visitor: Visitor,
    pub fields: Fields,
}

impl<S: Service> FromRequest<App<S>> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App<S>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let mut visitor = Visitor::from_request_parts(&mut parts, app).await?;
        let request = Request::from_parts(parts, body);
        let (fields, digest) = read(request, app, FORM_BYTES_MAX).await.map_err(Problem::into_response)?;
        // Digests, so that the comparison takes the same time whatever the text.
        if Digest::of(fields.text(TOKEN).as_bytes()) != Digest::of(visitor.session.form_token.as_bytes()) {
            let message = "the form is not one of this session's; load the page anew and send it again";
            return Err(Problem::edge_saying(Code::Forbidden, message).into_response());
        }
        let key = fields.text(KEY);
        if !key.is_empty()
            && key.len() <= crate::IDEMPOTENCY_KEY_CHARS_MAX
            && key.bytes().all(|b| b.is_ascii_graphic())
        {
            visitor.call.idempotency = Some(Idempotency { key: key.to_owned(), body: digest });
        }
        Ok(Posted { visitor, fields })
    }
}

/// A post of a stranger, who has no form token yet.
pub(super) struct PostedByStranger {
    pub fields: Fields,
    /// Whether the browser came by TLS, if only to something in front of this node.
    pub by_tls: bool,
}

impl<S: Service> FromRequest<App<S>> for PostedByStranger {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App<S>) -> Result<Self, Problem> {
        let origin = request.headers().get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
        let by_tls = origin.is_some_and(|origin| origin.starts_with("https://"));
        Ok(PostedByStranger { fields: read(request, app, STRANGERS_BYTES_MAX).await?.0, by_tls })
    }
}

async fn read<S: Service>(
    request: Request,
    app: &App<S>,
    bytes_max: u64,
) -> Result<(Fields, Digest), Problem> {
    let (parts, body) = request.into_parts();
    if !is_our_page(&parts.headers) {
        return Err(Problem::edge(Code::OriginNotAllowed));
    }
    let pace = Pace { bytes_max, ..app.pace(Code::BodyTooLarge) };
    let bytes = collect(Upload::streamed(body, content_length(&parts.headers), pace)?).await?;
    let unread = || Problem::edge_saying(Code::BadRequest, "the form is not understood; load the page anew");
    // Counted first: a form of nothing but separators would be a field a byte.
    if bytes.iter().filter(|byte| **byte == b'&').count() >= FIELDS_MAX {
        return Err(unread());
    }
    let fields: Vec<(String, String)> = serde_urlencoded::from_bytes(&bytes).map_err(|_| unread())?;
    Ok((Fields(fields), Digest::of(&bytes)))
}

/// Whether a post comes from a page of the very host that it goes to. The front door lets other configured names pass, which
/// is for programs; a page's own forms always say this one.
fn is_our_page(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let origin = text(header::ORIGIN);
    let authority =
        origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")).unwrap_or_default();
    !authority.is_empty() && authority.eq_ignore_ascii_case(text(header::HOST))
}

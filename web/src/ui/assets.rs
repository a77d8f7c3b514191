//! The scripts, styles and pictures of the pages, out of the binary. Their path holds a digest of all of them, so that a
//! browser keeps them for ever and a new binary's are new.

use crate::app::App;
use crate::problem::{Code, Problem};
use crate::query::Ids;
use crate::service::Service;
use artel_protocol::id::Digest;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use std::sync::LazyLock;

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! assets {
    ($($name:literal $kind:expr;)*) => {
        static ASSETS: &[Asset] =
            &[$(Asset { name: $name, kind: $kind, bytes: include_bytes!(concat!("../../assets/", $name)) },)*];
    };
}

assets! {
    "tokens.css" CSS;
    "frame.css" CSS;
    "parts.css" CSS;
    "pictures.css" CSS;
    "theme.js" JS;
    "htmx.min.js" JS;
    "idiomorph-ext.min.js" JS;
    "live.js" JS;
    "keys.js" JS;
    "proof.js" JS;
    "verify.js" JS;
    "icon.svg" "image/svg+xml";
}

struct Bundle {
    base: String,
    version: String,
    etags: Vec<HeaderValue>,
}

static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| {
    let digests: Vec<Digest> = ASSETS.iter().map(|asset| Digest::of(asset.bytes)).collect();
    let all: Vec<u8> = digests.iter().flat_map(|digest| digest.0).collect();
    let version = Digest::of(&all).hex()[..16].to_owned();
    let etag =
        |digest: &Digest| HeaderValue::from_str(&format!("\"{}\"", digest.hex())).expect("hex in quotes");
    let etags = digests.iter().map(etag).collect();
    Bundle { base: format!("/ui/assets/{version}"), version, etags }
});

/// The path before the names.
pub(super) fn base() -> &'static str {
    &BUNDLE.base
}

/// `GET /ui/assets/{version}/{name}`. They are the same for everybody.
pub(super) async fn show<S: Service>(
    State(_): State<App<S>>,
    Ids(version, name): Ids<String, String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let found = ASSETS.iter().zip(&BUNDLE.etags).find(|(asset, _)| asset.name == name);
    let (asset, etag) = found.ok_or_else(|| Problem::edge(Code::NotFound))?;
    // A page of the binary before this one: what it asks for is given, but not to be kept.
    let kept = if version == BUNDLE.version { "public, max-age=31536000, immutable" } else { "no-cache" };
    let shared = [(header::ETAG, etag.clone()), (header::CACHE_CONTROL, HeaderValue::from_static(kept))];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|tags| tags == etag) {
        return Ok((StatusCode::NOT_MODIFIED, shared).into_response());
    }
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind))];
    Ok((shared, kind, asset.bytes).into_response())
}

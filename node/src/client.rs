//! The command line's side of HTTP: one node, one bearer token, JSON answers as the text they came in. It knows how
//! answers, refusals and silence look; what a route means is for those who call it.

use crate::traces;
use artel_protocol::amount::Credits;
use reqwest::header::HeaderValue;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a connection may take. Beyond it the node counts as away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take beyond the time that the node was asked to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a transfer may stand still. A large artifact may take long in all, but not without a byte.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// The most bytes of one answer that are read into memory (256 MiB, an artifact's size and some); more is an error.
pub const ANSWER_BYTES_MAX: usize = 256 << 20;
/// The most characters of a foreign answer that are shown.
const SHOWN_CHARS: usize = 200;

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is not one.
    #[error("{0:?} is not a node's URL; write it as http://127.0.0.1:7433")]
    BadUrl(String),
    /// The client cannot be set up.
    #[error("cannot set up HTTP: {0}")]
    Setup(String),
    /// Nobody answers, or the connection broke.
    #[error(
        "no answer from the node at {url} ({cause}); see what is wrong with: artel doctor, or start it with: artel up"
    )]
    Away {
        /// The node.
        url: String,
        /// What the network said.
        cause: String,
    },
    /// Somebody answers whose certificate nobody vouches for.
    #[error("the certificate of {url} is not trusted ({cause}); {remedy}", remedy = certificate_remedy(cause))]
    Untrusted {
        /// The node.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The node said no.
    #[error("{message} ({code})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The stable code.
        code: String,
        /// The node's sentence.
        message: String,
        /// After how many seconds it makes sense to try again.
        retry_after_s: Option<u64>,
    },
    /// Something else than a node answers there.
    #[error("{url} does not answer as an Artel node does ({reason}); check the URL")]
    Foreign {
        /// The address.
        url: String,
        /// What was wrong.
        reason: String,
    },
}

impl Error {
    /// The node's stable code, where it said no.
    pub fn code(&self) -> Option<&str> {
        match self {
            Error::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the same request may well succeed later: the node is away, busy or starting.
    pub fn is_passing(&self) -> bool {
        match self {
            Error::Away { .. } => true,
            Error::Refused { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }

    /// For how long the node asked not to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Refused { retry_after_s, .. } => retry_after_s.map(Duration::from_secs),
            _ => None,
        }
    }
}

/// An amount read digit by digit; none ever passes through floating point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Amount(pub Credits);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Credits::parse(raw.get()).map(Amount).map_err(serde::de::Error::custom)
    }
}

/// One page of a list.
#[derive(Debug, Deserialize)]
pub struct List<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// One node over HTTP. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Arc<str>,
    bearer: Option<Arc<Zeroizing<String>>>,
}

impl Client {
    /// A client of the node at `base`. With `ca` only certificates that this PEM file vouches for are taken, without
    /// it those that the system trusts.
    ///
    /// # Errors
    /// [`Error::BadUrl`] and [`Error::Setup`].
    pub fn new(base: &str, ca: Option<&Path>) -> Result<Self, Error> {
        // Two providers are compiled in, so rustls has to be told. A second call finds the first one's.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let url = reqwest::Url::parse(base).map_err(|_| Error::BadUrl(base.into()))?;
        let plain = match url.scheme() {
            "http" => true,
            "https" => false,
            _ => return Err(Error::BadUrl(base.into())),
        };
        let mut builder =
            reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(STALL_TIMEOUT);
        builder = builder.redirect(reqwest::redirect::Policy::none()).tcp_nodelay(true);
        if plain {
            // Neither a proxy nor the system's certificates have any part in it.
            builder = builder.no_proxy().tls_certs_only([]);
        }
        if let Some(path) = ca {
            let failed =
                |e: &dyn std::fmt::Display| Error::Setup(format!("certificate {}: {e}", path.display()));
            let pem = std::fs::read(path).map_err(|e| failed(&e))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| failed(&e))?;
            builder = builder.tls_certs_only(certificates);
        }
        let http = builder.build().map_err(|e| Error::Setup(cause(&e)))?;
        Ok(Client { http, base: base.trim_end_matches('/').into(), bearer: None })
    }

    /// The same node, called with a token.
    pub fn with_token(&self, token: &str) -> Self {
        Client { bearer: Some(Arc::new(Zeroizing::new(token.to_owned()))), ..self.clone() }
    }

    /// The node's URL, without a slash at the end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The token that it calls with.
    pub fn token(&self) -> Option<&str> {
        self.bearer.as_ref().map(|b| b.as_str())
    }

    /// `GET`, as the text that came.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn get_text(&self, path: &str) -> Result<String, Error> {
        self.get_waiting(path, 0).await
    }

    /// `GET` of something that the node may wait for.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn get_waiting(&self, path: &str, wait_ms: u64) -> Result<String, Error> {
        let request = self.request(reqwest::Method::GET, path).timeout(answer_timeout(wait_ms));
        self.text(self.send(request).await?).await
    }

    /// `GET`, read as JSON.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.read(&self.get_text(path).await?)
    }

    /// All pages of a list, up to `items_max`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn get_all<T: DeserializeOwned>(&self, path: &str, items_max: usize) -> Result<Vec<T>, Error> {
        let join = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let page: List<T> = self.get(&format!("{path}{join}limit=200{cursor}")).await?;
            let empty = page.items.is_empty();
            items.extend(page.items);
            match page.next_cursor {
                Some(next) if items.len() < items_max && !empty => {
                    cursor = format!("&cursor={}", escape(&next))
                }
                _ => return Ok(items),
            }
        }
    }

    /// `GET` of bytes, at most `bytes_max`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn get_bytes(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, Error> {
        let response = self.send(self.request(reqwest::Method::GET, path)).await?;
        self.body(response, bytes_max).await
    }

    /// `GET` of bytes that the caller reads piece by piece.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn download(&self, path: &str) -> Result<reqwest::Response, Error> {
        self.send(self.request(reqwest::Method::GET, path)).await
    }

    /// `POST` of JSON; nothing where the node answers 204. `wait_ms` is how long the node was asked to wait.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn post(
        &self,
        path: &str,
        body: &impl Serialize,
        wait_ms: u64,
    ) -> Result<Option<String>, Error> {
        let request = self.request(reqwest::Method::POST, path).json(body).timeout(answer_timeout(wait_ms));
        let response = self.send(request).await?;
        if response.status() == reqwest::StatusCode::NO_CONTENT {
            Ok(None)
        } else {
            self.text(response).await.map(Some)
        }
    }

    /// `PATCH` of JSON.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn patch(&self, path: &str, body: &impl Serialize) -> Result<String, Error> {
        let request = self.request(reqwest::Method::PATCH, path).json(body).timeout(answer_timeout(0));
        self.text(self.send(request).await?).await
    }

    /// `POST` with a key under which a repeat has no effect.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn post_once(&self, path: &str, body: &impl Serialize, key: &str) -> Result<String, Error> {
        let request = self.request(reqwest::Method::POST, path).json(body).header("idempotency-key", key);
        self.text(self.send(request.timeout(answer_timeout(0))).await?).await
    }

    /// `DELETE`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn delete(&self, path: &str) -> Result<String, Error> {
        let request = self.request(reqwest::Method::DELETE, path).timeout(answer_timeout(0));
        self.text(self.send(request).await?).await
    }

    /// `PUT` of bytes.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn put(
        &self,
        path: &str,
        media_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> Result<String, Error> {
        let request = self.request(reqwest::Method::PUT, path).header("content-type", media_type).body(body);
        self.text(self.send(request).await?).await
    }

    /// Reads an answer's text as JSON of the caller's shape.
    ///
    /// # Errors
    /// [`Error::Foreign`].
    pub fn read<T: DeserializeOwned>(&self, text: &str) -> Result<T, Error> {
        serde_json::from_str(text).map_err(|e| self.foreign(format!("{e} in {:?}", shown(text))))
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        // Whoever started this program may have told it the trace that it works in.
        if let Some(context) =
            std::env::var(traces::VARIABLE).ok().and_then(|text| HeaderValue::from_str(&text).ok())
        {
            request = request.header("traceparent", context);
        }
        match &self.bearer {
            Some(token) => request.bearer_auth(token.as_str()),
            None => request,
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Error> {
        let response = request.send().await.map_err(|e| self.away(&e))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let retry_after_s = response.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
        let text = self.text(response).await?;
        match serde_json::from_str::<Problem>(&text) {
            Ok(Problem { error }) => {
                Err(Error::Refused { status, code: error.code, message: error.message, retry_after_s })
            }
            Err(_) => Err(self.foreign(format!("status {status}, {:?}", shown(&text)))),
        }
    }

    async fn text(&self, response: reqwest::Response) -> Result<String, Error> {
        let bytes = self.body(response, ANSWER_BYTES_MAX).await?;
        String::from_utf8(bytes).map_err(|_| self.foreign("not UTF-8".into()))
    }

    async fn body(&self, mut response: reqwest::Response, bytes_max: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|e| self.away(&e))? {
            if bytes.len() + piece.len() > bytes_max {
                return Err(self.foreign(format!("more than {bytes_max} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// What a broken transfer means.
    pub fn away(&self, error: &reqwest::Error) -> Error {
        let (url, cause) = (self.base.to_string(), cause(error));
        // The library tells these apart by its words alone.
        if cause.contains("certificate") {
            Error::Untrusted { url, cause }
        } else {
            Error::Away { url, cause }
        }
    }

    fn foreign(&self, reason: String) -> Error {
        Error::Foreign { url: self.base.to_string(), reason }
    }
}

/// What can be done about a certificate. The library tells these cases apart by its words alone.
fn certificate_remedy(cause: &str) -> &'static str {
    if cause.contains("not valid for name") {
        "call the node by a name that it was made out for: --node https://NAME:PORT"
    } else if cause.contains("CaUsedAsEndEntity") {
        "it is an authority's, which cannot be a node's too: make one with basicConstraints=CA:FALSE, see OPERATIONS.md"
    } else if cause.contains("expired") {
        "have the operator renew it"
    } else {
        "name the one to trust with --ca FILE"
    }
}

#[derive(Deserialize)]
struct Problem {
    error: ProblemBody,
}

#[derive(Deserialize)]
struct ProblemBody {
    code: String,
    message: String,
}

/// Escapes a value for a query string or a path element.
pub fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                escaped.push(byte.into())
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

fn answer_timeout(wait_ms: u64) -> Duration {
    ANSWER_TIMEOUT + Duration::from_millis(wait_ms)
}

/// The innermost cause: the outer ones only repeat the URL.
fn cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_for_paths_and_queries() {
        assert_eq!(escape("did:key:z6Mk"), "did:key:z6Mk");
        assert_eq!(escape("a b&c=d/é"), "a%20b%26c%3Dd%2F%C3%A9");
    }

    #[test]
    fn only_http_urls_are_taken() {
        assert_eq!(
            Client::new("http://127.0.0.1:1/", None).map(|c| c.base().to_owned()).ok().as_deref(),
            Some("http://127.0.0.1:1")
        );
        for bad in ["", "127.0.0.1:7433", "ftp://x", "data"] {
            assert!(matches!(Client::new(bad, None), Err(Error::BadUrl(_))), "{bad}");
        }
    }

    #[test]
    fn amounts_are_read_digit_by_digit() {
        let amount: Amount = serde_json::from_str("999999999.999999").expect("an amount");
        assert_eq!(amount.0.decimal(), "999999999.999999");
        assert!(serde_json::from_str::<Amount>("-1").is_err());
    }

    #[tokio::test]
    async fn a_silent_address_is_told_as_such() {
        // Bound and dropped: nobody listens there now.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        drop(listener);
        let error =
            Client::new(&url, None).expect("a client").get_text("/v1/health").await.expect_err("nobody");
        assert!(error.is_passing() && error.to_string().contains("artel up"), "{error}");
    }
}

//! A JWK set over HTTPS.

use bytes::Bytes;
use http::header::ACCEPT;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::{JwksRefresh, JwksSource};
use crate::error::{BoxError, ConfigError};

/// Fetches a JWK set by `GET`, over HTTP/1.1 and TLS 1.2 or 1.3, from servers with certificates that the system trusts
/// (`SSL_CERT_FILE` names others).
///
/// The answer has to be a 200 with at most [`JwksRefresh::MAX_LENGTH`] bytes. Redirects are not followed, and proxies of
/// the environment are not used: for those bring a [`JwksSource`] of your own.
#[derive(Debug, Clone)]
pub struct HttpJwks {
    uri: Uri,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

/// Why no JWK set came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpJwksError {
    /// Nothing could be sent, or no answer came.
    #[error("the server could not be asked")]
    Connection(#[source] BoxError),
    /// It answered with something other than 200.
    #[error("the server answered {0}")]
    Status(StatusCode),
    /// The body broke off, or is longer than [`JwksRefresh::MAX_LENGTH`].
    #[error("the body could not be read")]
    Body(#[source] BoxError),
}

impl HttpJwks {
    /// The set at `url`: `https://…`, or `http://…` at a loopback address or `localhost`.
    ///
    /// # Errors
    /// When it is no such address, or the certificates that the system trusts cannot be read.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        Self::with(url, false)
    }

    /// The same, also for `http://` at any address. Whoever sits between can choose the keys, and so sign tokens.
    ///
    /// # Errors
    /// When it is no address, or the certificates that the system trusts cannot be read.
    pub fn insecure_new(url: &str) -> Result<Self, ConfigError> {
        Self::with(url, true)
    }

    fn with(url: &str, plain: bool) -> Result<Self, ConfigError> {
        let wrong = |problem: String| ConfigError::new("jwks_url", problem);
        let uri: Uri = url.parse().map_err(|_| wrong("is no address".to_owned()))?;
        let host = uri.host().unwrap_or_default();
        match uri.scheme_str() {
            Some("https") if !host.is_empty() => {}
            Some("http") if plain || is_loopback(host) => {}
            Some("http") => return Err(wrong("must be https: whoever sits between could choose the keys".to_owned())),
            _ => return Err(wrong("is no https address".to_owned())),
        }
        let provider = rustls::crypto::ring::default_provider();
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)
            .map_err(|error| wrong(format!("the certificates that the system trusts cannot be read: {error}")))?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self { uri, client: Client::builder(TokioExecutor::new()).build(connector) })
    }
}

impl JwksSource for HttpJwks {
    type Error = HttpJwksError;

    async fn fetch(&self) -> Result<Vec<u8>, HttpJwksError> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = self.uri.clone();
        let accept = "application/jwk-set+json, application/json;q=0.9";
        request.headers_mut().insert(ACCEPT, http::HeaderValue::from_static(accept));
        let response = self.client.request(request).await.map_err(|error| HttpJwksError::Connection(error.into()))?;
        if response.status() != StatusCode::OK {
            return Err(HttpJwksError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), JwksRefresh::MAX_LENGTH).collect().await;
        Ok(body.map_err(HttpJwksError::Body)?.to_bytes().into())
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

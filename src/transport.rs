//! What the server below says of a connection: the only reader of other crates' request extensions.

use std::net::{IpAddr, SocketAddr};

use http::request::Parts;
use http::{Extensions, Uri};

/// The address of the other end of the connection, for servers that this crate does not know. Put it into the request's
/// extensions before the request reaches the layer. Those of axum (`ConnectInfo<SocketAddr>` and its mock) and tonic
/// (`TcpConnectInfo`) are read without it, and [`protect`](crate::ApiKeyLayer::protect) needs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

/// Where the connection comes from, as far as the server says.
pub(crate) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    if let Some(PeerAddr(address)) = extensions.get() {
        return Some(address.ip());
    }
    #[cfg(feature = "axum")]
    {
        use axum::extract::ConnectInfo;
        use axum::extract::connect_info::MockConnectInfo;
        if let Some(ConnectInfo(address)) = extensions.get::<ConnectInfo<SocketAddr>>() {
            return Some(address.ip());
        }
        if let Some(MockConnectInfo(address)) = extensions.get::<MockConnectInfo<SocketAddr>>() {
            return Some(address.ip());
        }
    }
    #[cfg(feature = "tonic")]
    if let Some(info) = extensions.get::<tonic::transport::server::TcpConnectInfo>() {
        return info.remote_addr().map(|address| address.ip());
    }
    None
}

/// The target of the request before routers above took prefixes off it.
pub(crate) fn original_uri(parts: &Parts) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = parts.extensions.get::<axum::extract::OriginalUri>() {
        return &original.0;
    }
    &parts.uri
}

/// Changes the copy of the target that routers keep before they take prefixes off it.
pub(crate) fn change_original_uri(extensions: &mut Extensions, changed: impl FnOnce(&Uri) -> Option<Uri>) {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::OriginalUri(original)) = extensions.get_mut()
        && let Some(changed) = changed(original)
    {
        *original = changed;
    }
    #[cfg(not(feature = "axum"))]
    let _ = (extensions, changed);
}

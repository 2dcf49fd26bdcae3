//! Redis over TLS, with certificates of its own.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tower_api_key::clock::{Clock, SystemClock};
use tower_api_key::limit::redis::RedisRateLimiter;
use tower_api_key::limit::{Charge, Detail, RateLimiter, Subject};
use tower_api_key::source::cached::{Invalidation, Invalidations, RedisInvalidations};

use super::exact::{hammer, quota};
use super::support::*;

fn openssl(folder: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(arguments.split(' ')).stderr(Stdio::null());
    assert!(command.status().expect("openssl can be started").success(), "openssl {arguments}");
}

/// An authority, and a certificate by it for 127.0.0.1.
fn certificates() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(folder.path(), &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"));
    openssl(folder.path(), &format!("req {key} -keyout server.key -out server.csr -subj /CN=127.0.0.1"));
    std::fs::write(folder.path().join("names"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
    let signed =
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem";
    openssl(folder.path(), signed);
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_and_invalidations_travel_encrypted_and_an_unknown_authority_is_not_trusted() {
    if !services() {
        return;
    }
    let (folder, port) = (certificates(), free_port());
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (certificate, key, authority) = (file("server.pem"), file("server.key"), file("ca.pem"));
    let server = Server::start_with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authority,
    ]);
    let url = format!("rediss://127.0.0.1:{port}");
    let root_cert = Some(std::fs::read(&authority).unwrap());
    let certificates = redis::TlsCertificates { client_tls: None, root_cert };
    let client = redis::Client::build_with_tls(url.as_str(), certificates).unwrap();
    let address = client.get_connection_info().clone();

    let limiter = RedisRateLimiter::builder(address.clone()).deadline(Duration::from_secs(5)).build().unwrap();
    assert_eq!(hammer(&limiter, "k", &quota("fixed", 100), 320).await, 100);
    let plain = server.limiter().build().unwrap();
    assert_eq!(hammer(&plain, "k", &quota("fixed", 100), 320).await, 0, "it is the same Redis");

    let bus = RedisInvalidations::connect(address).unwrap();
    let mut subscription = bus.subscribe();
    assert_eq!(subscription.next().await.unwrap(), Some(Invalidation::All));
    assert_eq!(bus.send(&Invalidation::Absent).await.unwrap(), 1);
    assert_eq!(subscription.next().await.unwrap(), Some(Invalidation::Absent));

    let stranger = RedisRateLimiter::builder(url).deadline(Duration::from_secs(2)).build().unwrap();
    let started = Instant::now();
    let quota = quota("fixed", 100);
    let charge = [Charge::new(Subject::key("other"), &quota)];
    let error = stranger.take(&charge, Detail::Closest, SystemClock.now()).await.unwrap_err();
    let mut text = format!("{error:?}");
    text.make_ascii_lowercase();
    assert!(text.contains("certificate") || text.contains("issuer"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(3));
}

//! A machine taken for a person, and the other way round.

use serde_json::json;

use crate::forged::{FAR, token};
use crate::people::ada;
use crate::table::{Case, FORBIDDEN, Findings, NO_KEY, OK, cases};
use crate::wire::Ask;
use crate::world::{ADMIN, World, bearer};

pub(crate) const CASES: &[Case] = cases![no_id_of_a_key_is_a_user, no_id_of_a_user_is_a_key];

const BECAUSE: &str = "CVE-2026-39976: a machine's id was taken for a user's";

fn no_id_of_a_key_is_a_user(world: &World, findings: &mut Findings) {
    for (server, ask) in [
        (&world.workspace, Ask::get("/api/whoami").field("x-api-key", &world.ann.key)),
        (&world.platform, Ask::get("/api/whoami").field("x-api-key", &world.acme.key)),
        (&world.generate, bearer(Ask::get("/api/whoami"), &world.manager.key)),
        (&world.generate, bearer(Ask::get("/api/whoami"), ADMIN)),
    ] {
        let answer = findings.row(BECAUSE, server, &ask, &[OK]);
        findings.holds(BECAUSE, answer.json()["user"].is_null(), || answer.body.clone());
        let method = answer.json()["method"].as_str().unwrap_or_default().to_owned();
        findings.holds(BECAUSE, method.ends_with("key"), || method.clone());
    }
    // A key of the person's own is not the person.
    for path in ["/account/api-keys".to_owned(), format!("/account/api-keys/{}", world.ann.id)] {
        let ask = Ask::get(path).field("x-api-key", &world.ann.key);
        findings.row(BECAUSE, &world.workspace, &ask, &[FORBIDDEN]);
    }
    let ask = Ask::get("/api/organizations/acme/api-keys").field("x-api-key", &world.acme.key);
    findings.row(BECAUSE, &world.platform, &ask, &[FORBIDDEN]);
}

fn no_id_of_a_user_is_a_key(world: &World, findings: &mut Findings) {
    // Somebody signs up under the id of a key, of an organisation, of the operator's variable.
    for id in
        [world.ann.id.as_str(), "key_file", "acme", "ADMIN_API_KEY", "admin", "*", "anonymous", "null", "user_1,ann"]
    {
        let session = world.next_auth_cookie(&json!({ "sub": id, "role": "admin", "scopes": ["admin"], "exp": FAR }));
        let ask = Ask::get("/api/whoami").field("cookie", &session);
        let answer = findings.row(BECAUSE, &world.workspace, &ask, &[OK]);
        let said = answer.json();
        let is_user = said["method"] == "session" && said["keyId"].is_null() && said["scopes"] == json!([]);
        findings.holds(BECAUSE, is_user, || answer.body.clone());
        let list =
            findings.row(BECAUSE, &world.workspace, &Ask::get("/account/api-keys").field("cookie", &session), &[OK]);
        findings.holds(BECAUSE, list.json()["items"] == json!([]), || list.body.clone());
        for key in [&world.ann.id, &world.bea.id, &"key_file".to_owned()] {
            let ask = Ask::new("DELETE", format!("/account/api-keys/{key}")).field("cookie", &session);
            findings.row(BECAUSE, &world.workspace, &ask, &[NO_KEY]);
        }
        let token = token(json!({ "sub": id, "org_id": "nowhere", "role": "admin" }));
        let list = Ask::get("/api/organization/api-keys").field("authorization", format!("Bearer {token}"));
        let list = findings.row(BECAUSE, &world.organization, &list, &[OK]);
        findings.holds(BECAUSE, list.json()["items"] == json!([]), || list.body.clone());
    }
    // A person's role in one organisation is none in another, whatever the path calls it.
    for name in ["session", "key", "admin", "key_1", "qYEx73oE0TBH3ZeW050q4aihrLTScSVB"] {
        let ask = Ask::get(format!("/api/organizations/{name}/api-keys")).field("cookie", ada());
        findings.row(BECAUSE, &world.platform, &ask, &[FORBIDDEN]);
    }
}

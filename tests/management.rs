//! The management API through the gate, as its callers see it.

#![cfg(all(feature = "management", feature = "testing"))]

mod management {
    mod audit;
    mod authority;
    mod calls;
    mod faults;
    mod life;
    #[path = "../support/log.rs"]
    mod log;
    mod organizations;
    mod repeats;
    mod support;
    mod validation;
}

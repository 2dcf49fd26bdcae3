//! The management API through the gate, as its callers see it.

#![cfg(all(feature = "management", feature = "testing"))]

mod management {
    mod authority;
    mod calls;
    mod faults;
    mod life;
    mod support;
    mod validation;
}

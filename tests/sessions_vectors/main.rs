//! Sessions as the packages that made them write them: every case of the vectors of Auth.js, NextAuth and Better Auth.

mod arbitrary;
mod authjs;
mod better_auth;
mod conformance;
mod vectors;

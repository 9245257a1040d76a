//! One file a verb: what it takes, and what it does.

pub(crate) mod actions;
pub(crate) mod auth;
pub(crate) mod check;
pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod daemon;
pub(crate) mod dead_letters;
pub(crate) mod describe;
pub(crate) mod help;
pub(crate) mod history;
pub(crate) mod run;
pub(crate) mod sandbox;
pub(crate) mod try_it;

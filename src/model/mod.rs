//! The pure core: what airx decides, with no input or output, clock, randomness or threads.
//!
//! Everything here is a function of its arguments. Time comes in as [`time::Now`], random numbers as seeds, the
//! outside world as [`core::Input`]; what should happen comes out as changes (to be committed) and effects (to be
//! performed after the commit).

pub mod added;
pub mod artifact;
pub mod attempt;
pub mod by_hand;
pub mod change;
pub mod conversation;
pub mod core;
pub mod credential;
pub mod decide;
pub mod diagnostic;
pub mod docker;
pub mod exit_file;
pub mod facts;
pub mod fit;
pub mod ids;
pub mod jobfile;
pub mod json_schema;
pub mod kubernetes;
pub mod live;
pub mod message;
pub mod money;
pub mod notice;
pub mod outcome;
pub mod pod;
pub mod question;
pub mod relay;
pub mod replay;
pub mod report;
pub mod result;
pub mod runner;
pub mod said;
pub mod schedule;
pub mod seal;
pub mod settings;
pub mod sign;
pub mod spec;
pub mod state;
pub mod stored;
pub mod subtask;
pub mod template;
pub mod time;
pub mod units;
pub mod why;
pub mod yaml;

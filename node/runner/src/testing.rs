//! For the tests of this crate alone: taking walls away. A program that calls only [`crate::child_if_asked`] refuses all of it.

use crate::child::{Trust, is_asked, live};
use crate::runner::Options;
pub use crate::runner::Switches;
use crate::walls::Walls;

/// As [`crate::child_if_asked`], but a child may be told to leave walls out.
pub fn child_if_asked() {
    if is_asked() {
        live(Trust::Tests)
    }
}

/// Only these walls go up, and the kernel pretends not to have those of `blind`.
#[must_use]
pub fn with_walls(mut options: Options, wanted: Walls, blind: Walls) -> Options {
    options.switches = Switches { wanted, blind };
    options
}

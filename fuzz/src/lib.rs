//! What the fuzz targets share.

pub mod registry;

use verify::Budget;

/// The limits every target runs under.
#[must_use]
pub fn budget() -> Budget {
    Budget::default()
}

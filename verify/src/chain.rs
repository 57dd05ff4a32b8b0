//! Certificate paths at a given time [RFC 5280 §6].

//! Comparing crates with their commits, where the user has a clone.

use std::path::Path;

use verify::{Verified, identity::Claim};

use super::{Error, wanted::Wanted};
use crate::{
    evidence::{
        finding::{Finding, Outcome},
        source::{self, Equality},
    },
    failure::Failure,
    release::crate_file::CrateFile,
};

/// Adds to each finding that its artifact holds what the commit holds, or why that is not established.
pub(super) fn add(clone: &Path, wanted: &[Wanted], findings: &mut [Finding]) {
    for (wanted, finding) in wanted.iter().zip(findings) {
        // Of what is refused anyway nothing more is asked.
        if finding.outcome == Outcome::Refused {
            continue;
        }
        match equality(clone, wanted, finding) {
            Ok(equality) => finding.source = Some(equality),
            Err(failure) => finding.spoil(failure),
        }
    }
}

fn equality(clone: &Path, wanted: &Wanted, finding: &Finding) -> Result<Equality, Failure> {
    let label = || finding.subject.label.clone();
    let path = wanted.file.as_deref().filter(|_| finding.subject.package.is_some());
    let path = path.ok_or_else(|| Failure::from(Error::NotAtHand { label: label() }))?;
    let file = CrateFile::read(path, None)?;
    if file.digest != finding.subject.digest {
        return Err(Error::Changed { label: label() }.into());
    }
    let attested = finding
        .best()
        .and_then(|proof: &Verified| proof.claim(Claim::SourceRepositoryDigest));
    source::compare(clone, &file, attested)
}

//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Keep the TUF trust root of a Sigstore instance.
#[derive(Debug, Parser)]
#[command(name = "tuf-root", version, after_help = EXIT_CODES, disable_help_subcommand = true, max_term_width = 100)]
pub(super) struct CommandLine {
    /// How results are printed on stdout
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    pub(super) format: Format,
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Lines.
    Human,
    /// One JSON document.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key, or show the id of one
    #[command(after_help = KEY_EXAMPLES)]
    Key(Key),
    /// Make a repository, or a draft of one for others to sign
    #[command(after_help = INIT_EXAMPLES)]
    Init(Init),
    /// Publish other targets, or a draft that has all its signatures
    #[command(after_help = PUBLISH_EXAMPLES)]
    Publish(Publish),
    /// Publish the next root: other keys, thresholds or lifetimes, or just a later expiry
    #[command(after_help = ROTATE_EXAMPLES)]
    Rotate(Rotate),
    /// Sign a draft, collect signatures, or show what a draft would change
    #[command(after_help = SIGN_EXAMPLES)]
    Sign(Sign),
    /// Make timestamp and snapshot anew; needs the online key only
    #[command(after_help = REFRESH_EXAMPLES)]
    Refresh(Refresh),
    /// Check every file, signature and expiry of a repository
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(Verify),
}

#[derive(Debug, Args)]
pub(super) struct Key {
    /// Where the private key goes; the public key goes to FILE.pub. A key that is there already is shown, never replaced
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// What kind of key to make
    #[arg(long, value_enum, value_name = "KIND", default_value_t = Kind::Ed25519)]
    pub(super) kind: Kind,
}

/// What kind of key to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Ed25519
    Ed25519,
    /// ECDSA on P-256
    P256,
}

#[derive(Debug, Args)]
pub(super) struct Init {
    /// The folder that becomes the repository
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// A key of the root role, private (then it signs) or public
    #[arg(long = "root-key", required = true, value_name = "PEM")]
    pub(super) root_keys: Vec<PathBuf>,
    /// How many root keys must sign a root
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) root_threshold: u64,
    /// A key of the targets role; the root keys, unless given
    #[arg(long = "targets-key", value_name = "PEM")]
    pub(super) targets_keys: Vec<PathBuf>,
    /// How many targets keys must sign targets; as many as for the root, unless given
    #[arg(long, value_name = "N")]
    pub(super) targets_threshold: Option<u64>,
    /// The key of timestamp and snapshot, which stays with the server; the public one is enough for a draft
    #[arg(long, value_name = "PEM")]
    pub(super) online_key: PathBuf,
    /// A file to publish, under its own name or another
    #[arg(long = "target", required = true, value_name = "[NAME=]FILE")]
    pub(super) targets: Vec<String>,
    #[command(flatten)]
    pub(super) lifetimes: Lifetimes,
    /// Write a draft to this folder for others to sign, instead of the repository
    #[arg(long, value_name = "FOLDER")]
    pub(super) draft: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Publish {
    /// The repository; for the first draft, the folder that becomes it
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// A file to add or replace, under its own name or another
    #[arg(long = "target", value_name = "[NAME=]FILE", conflicts_with = "from")]
    pub(super) targets: Vec<String>,
    /// A target to remove
    #[arg(long = "remove", value_name = "NAME", conflicts_with = "from")]
    pub(super) remove: Vec<String>,
    /// A private key of the targets role
    #[arg(long = "key", value_name = "PEM")]
    pub(super) keys: Vec<PathBuf>,
    /// The private key of timestamp and snapshot; when a rotation replaces it, give both
    #[arg(long = "online-key", value_name = "PEM", required_unless_present_any = ["draft", "from"])]
    pub(super) online_keys: Vec<PathBuf>,
    /// Write a draft to this folder for others to sign, instead of publishing
    #[arg(long, value_name = "FOLDER", conflicts_with = "from")]
    pub(super) draft: Option<PathBuf>,
    /// Publish the draft in this folder
    #[arg(long = "from-draft", value_name = "FOLDER")]
    pub(super) from: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    /// The repository
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// A key to add to the root role, private (then it signs) or public
    #[arg(long = "add-root-key", value_name = "PEM")]
    pub(super) add_root_keys: Vec<PathBuf>,
    /// A key to take from the root role
    #[arg(long = "remove-root-key", value_name = "ID|PEM")]
    pub(super) remove_root_keys: Vec<String>,
    /// How many root keys must sign a root
    #[arg(long, value_name = "N")]
    pub(super) root_threshold: Option<u64>,
    /// A key to add to the targets role, private (then it signs) or public
    #[arg(long = "add-targets-key", value_name = "PEM")]
    pub(super) add_targets_keys: Vec<PathBuf>,
    /// A key to take from the targets role
    #[arg(long = "remove-targets-key", value_name = "ID|PEM")]
    pub(super) remove_targets_keys: Vec<String>,
    /// How many targets keys must sign targets
    #[arg(long, value_name = "N")]
    pub(super) targets_threshold: Option<u64>,
    /// The new key of timestamp and snapshot; give it and the old one with --online-key too
    #[arg(long, value_name = "PEM")]
    pub(super) new_online_key: Option<PathBuf>,
    #[command(flatten)]
    pub(super) lifetimes: Lifetimes,
    /// A private key that signs: as many old and new root keys (and targets keys, when these change) as needed
    #[arg(long = "key", value_name = "PEM")]
    pub(super) keys: Vec<PathBuf>,
    /// A private key of timestamp and snapshot, needed when one of their keys or the targets change
    #[arg(long = "online-key", value_name = "PEM")]
    pub(super) online_keys: Vec<PathBuf>,
    /// Write a draft to this folder for others to sign, instead of publishing
    #[arg(long, value_name = "FOLDER")]
    pub(super) draft: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Sign {
    /// The draft's folder
    #[arg(value_name = "DRAFT")]
    pub(super) draft: PathBuf,
    /// A private key that signs
    #[arg(long = "key", value_name = "PEM")]
    pub(super) keys: Vec<PathBuf>,
    /// Write the signatures to this file instead of into the draft
    #[arg(long, value_name = "FILE", requires = "keys", conflicts_with = "attach")]
    pub(super) detached: Option<PathBuf>,
    /// Put the signatures of this file into the draft
    #[arg(long = "attach", value_name = "FILE")]
    pub(super) attach: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Refresh {
    /// The repository
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// The private key of timestamp and snapshot
    #[arg(long, value_name = "PEM")]
    pub(super) online_key: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The repository
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// Judge expiry as of this instant instead of now
    #[arg(long, value_name = "RFC3339")]
    pub(super) at: Option<String>,
}

/// How long metadata is good for.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Lifetimes")]
pub(super) struct Lifetimes {
    /// Days until a root expires [default: 365]
    #[arg(long, value_name = "DAYS")]
    pub(super) root_days: Option<u64>,
    /// Days until targets expire [default: 365]
    #[arg(long, value_name = "DAYS")]
    pub(super) targets_days: Option<u64>,
    /// Hours until a snapshot expires [default: 168]
    #[arg(long, value_name = "HOURS")]
    pub(super) snapshot_hours: Option<u64>,
    /// Hours until a timestamp expires: the longest a change can be hidden from readers [default: 24]
    #[arg(long, value_name = "HOURS")]
    pub(super) timestamp_hours: Option<u64>,
}

const EXIT_CODES: &str = "\
Exit codes: 0 yes, 1 looked and refused, 2 usage or configuration, 3 could not look, 70 a bug of ours.
The guide docs/guides/trust-root.md walks through a ceremony, a rotation and a refresh.";

const KEY_EXAMPLES: &str = "\
Examples:
  tuf-root key alice.pem                  make a key; hand out alice.pem.pub
  tuf-root key --kind p256 online.pem     the same on P-256";

const INIT_EXAMPLES: &str = "\
Examples:
  all keys on this machine:
    tuf-root init tuf --root-key root.pem --online-key online.pem \\
      --target trusted_root.json --target signing_config.v0.2.json
  two of three holders must sign, each on a machine of their own:
    tuf-root init tuf --root-key alice.pem.pub --root-key bob.pem.pub --root-key carol.pem.pub \\
      --root-threshold 2 --online-key online.pem.pub --target trusted_root.json --draft draft
    tuf-root sign draft --key alice.pem       (Alice; then Bob, or Carol)
    tuf-root publish tuf --from-draft draft --online-key online.pem";

const PUBLISH_EXAMPLES: &str = "\
Examples:
  tuf-root publish tuf --target trusted_root.json --key root.pem --online-key online.pem
  tuf-root publish tuf --target trusted_root.json --draft draft      for others to sign
  tuf-root publish tuf --from-draft draft --online-key online.pem    once they have";

const ROTATE_EXAMPLES: &str = "\
Examples:
  tuf-root rotate tuf --key root.pem                                 a year more
  tuf-root rotate tuf --add-root-key dave.pem.pub --remove-root-key bob.pem.pub --draft draft
  tuf-root rotate tuf --new-online-key new.pem --key root.pem --online-key old.pem --online-key new.pem";

const SIGN_EXAMPLES: &str = "\
Examples:
  tuf-root sign draft                                                what is in it, what is missing
  tuf-root sign draft --key alice.pem
  tuf-root sign draft --key alice.pem --detached alice.sig           to be sent back on its own
  tuf-root sign draft --attach alice.sig --attach bob.sig";

const REFRESH_EXAMPLES: &str = "\
Example:
  tuf-root refresh tuf --online-key online.pem                       from a timer, every eight hours";

const VERIFY_EXAMPLES: &str = "\
Examples:
  tuf-root verify tuf
  tuf-root verify tuf --at 2027-01-01T00:00:00Z                      will it still be good then?";

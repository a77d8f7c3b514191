//! The limits that everybody keeps, each with its unit, its reason and what happens at it.

/// The most bytes in a step's input as JSON (256 KiB). Larger inputs are artifacts; a post with more gets `input_too_large`.
pub const INPUT_BYTES_MAX: usize = 256 << 10;

/// The most bytes in a step's output as JSON (256 KiB). Larger results are artifacts; a submission with more gets
/// `output_too_large` and keeps its lease.
pub const OUTPUT_BYTES_MAX: usize = 256 << 10;

/// The most bytes in one artifact (250 MB, the seed's figure). An upload with more is cut off with `artifact_too_large`.
pub const ARTIFACT_BYTES_MAX: u64 = 250_000_000;

/// The most artifacts that one submission or one step may name. More gets `too_many_artifacts`.
pub const STEP_ARTIFACTS_MAX: usize = 64;

/// The most bytes in a title (the seed's `VARCHAR(500)`).
pub const TITLE_BYTES_MAX: usize = 500;

/// The most bytes in a description (16 KiB): a page's worth of prose; more belongs into an artifact.
pub const DESCRIPTION_BYTES_MAX: usize = 16 << 10;

/// The most bytes in a name of an agent, a run or a step (the seed's `VARCHAR(255)`).
pub const NAME_BYTES_MAX: usize = 255;

/// The most bytes in an agent's metadata as JSON (8 KiB). It is kept in memory for each agent.
pub const METADATA_BYTES_MAX: usize = 8 << 10;

/// The most skills of one agent or of one task's requirements.
pub const SKILLS_MAX: usize = 32;

/// The most bytes in a task's output schema as JSON (16 KiB): a schema is compiled before each check.
pub const SCHEMA_BYTES_MAX: usize = 16 << 10;

/// How deep JSON may be nested. Deeper input only serves to exhaust a stack; it gets `json_too_deep`.
pub const JSON_DEPTH_MAX: usize = 64;

/// How deep a value inside of a body may be nested: an input, an output, a schema. One level is left for the body around it,
/// so that what comes over the mesh or out of a sandbox may also go through HTTP. A deeper one is refused like one that is no
/// JSON at all.
pub const JSON_VALUE_DEPTH_MAX: usize = JSON_DEPTH_MAX - 1;

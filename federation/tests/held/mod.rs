//! A file of golden vectors: held against what is written today, and its frames' own bytes.

/// Holds what is written today against files of `vectors/`, each with its name and what it holds; with `ARTEL_WRITE_VECTORS` they are
/// written anew.
///
/// # Panics
/// Where they differ, and whenever they were written.
#[allow(clippy::disallowed_methods, reason = "the one switch that writes the vectors")]
pub fn have_not_changed(files: &[(&str, &str, String)]) {
    if std::env::var("ARTEL_WRITE_VECTORS").is_ok() {
        for (name, _, now) in files {
            let path = format!("{}/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
            std::fs::write(path, now).expect("the vectors' folder can be written");
        }
        panic!("vectors written; look at the difference and run again without ARTEL_WRITE_VECTORS");
    }
    for (name, held, now) in files {
        for (n, (is, was)) in now.lines().zip(held.lines()).enumerate() {
            assert_eq!(is, was, "line {} of vectors/{name}", n + 1);
        }
        assert_eq!(now.lines().count(), held.lines().count(), "{name}");
    }
}

#[allow(dead_code, reason = "entries are read otherwise")]
/// The frames in a file, each with its name and what it is: the file's bytes, not ours of today.
pub fn frames(held: &str) -> Vec<(&str, &str, Vec<u8>)> {
    let rows = held.lines().map(|line| line.split('\t').collect::<Vec<_>>()).filter(|row| row.len() == 4);
    rows.map(|row| {
        let unhex = |i: usize| u8::from_str_radix(&row[2][i..i + 2], 16).expect("hex");
        (row[0], row[1], (0..row[2].len()).step_by(2).map(unhex).collect())
    })
    .collect()
}

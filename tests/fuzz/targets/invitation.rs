//! Invitations, as text and as bytes: what reads is written the same, and no form shows the secret but the text.
#![no_main]

use artel_protocol::invitation::Invitation;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(read) = Invitation::decode(data) {
        assert_eq!(read.encode(), data);
        assert_eq!(Invitation::parse(&read.to_string()), Ok(read));
    }
    if let Ok(text) = str::from_utf8(data)
        && let Ok(read) = Invitation::parse(text)
    {
        assert_eq!(read.to_string(), text);
    }
});

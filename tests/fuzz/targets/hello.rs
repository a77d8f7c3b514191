//! Hellos and welcomes: what reads is written the same.
#![no_main]

use artel_protocol::codec::{self, Frame};
use artel_protocol::hello::{Expected, Hello, Welcome};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(welcome) = Welcome::check(data) {
        assert_eq!(welcome.to_frame().as_deref(), Ok(data));
    }
    // Held against what it says itself, so that more than the first comparison is reached.
    let Ok(frame) = Frame::parse(data) else { return };
    let Ok(hello) = codec::decode::<Hello>(frame.payload) else { return };
    let expected = Expected { federation: hello.federation, peer: hello.node, now: hello.at };
    if let Ok(checked) = Hello::check(data, &expected) {
        assert_eq!(checked.to_frame().as_deref(), Ok(data));
        assert_eq!(*checked, hello);
    }
});

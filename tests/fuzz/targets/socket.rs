//! The WebSocket's frames and messages: they say the same however they are cut, and whatever is refused is refused in JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    artel_web::fuzz::frames(data);
    artel_web::fuzz::message(data);
});

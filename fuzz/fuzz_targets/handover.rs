//! What one process says to another while it takes over: whatever the bytes are, reading ends, and what was read is written
//! as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tracker_user::handover::messages::{HEAD, Message};

fuzz_target!(|bytes: &[u8]| {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return };
    let Ok(len) = Message::rest_len(*head) else { return };
    let rest = &rest[..rest.len().min(len)];
    let Ok(message) = Message::read(head[0], rest) else { return };
    let frame = message.frame();
    let (head, rest) = frame.split_first_chunk::<HEAD>().expect("a frame");
    assert_eq!(Message::rest_len(*head), Ok(rest.len()), "{message:?}");
    let again = Message::read(head[0], rest).expect("what was written is read");
    assert_eq!(again.frame(), frame, "{message:?}");
});

//! What may follow an announce ([BEP 41](https://www.bittorrent.org/beps/bep_0041.html)): options, of which one brings
//! the path and query of the announce address.

use super::codec::Malformed;

/// So many bytes of a path and query are taken: as many as one option has at most. A key stands at their beginning.
pub const MAX_URL: usize = 255;

const END: u8 = 0;
const NOP: u8 = 1;
const URL_DATA: u8 = 2;

/// Puts together the path and query from the options that follow an announce, and gives them as far as they have room;
/// nothing, where the client tells none. Other options are passed over, and so is what follows the end of options.
///
/// # Errors
/// If an option has no length, or one past the end of the datagram.
pub fn url<'a>(mut options: &[u8], room: &'a mut [u8; MAX_URL]) -> Result<&'a [u8], Malformed> {
    let mut length = 0;
    while let Some((&option, rest)) = options.split_first() {
        options = rest;
        if option == END {
            break;
        }
        if option == NOP {
            continue;
        }
        let (&size, rest) = options.split_first().ok_or(Malformed)?;
        let (data, rest) = rest.split_at_checked(size.into()).ok_or(Malformed)?;
        options = rest;
        if option == URL_DATA {
            let free = room.get_mut(length..).unwrap_or_default();
            let taken = data.len().min(free.len());
            free[..taken].copy_from_slice(&data[..taken]);
            length += taken;
        }
    }
    Ok(&room[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[u8]) -> Result<Vec<u8>, Malformed> {
        url(options, &mut [0xee; MAX_URL]).map(<[u8]>::to_vec)
    }

    #[test]
    fn options_by_hand() {
        for (options, told) in [
            (&b""[..], Ok(&b""[..])),
            (b"\x02\x09/announce", Ok(b"/announce")),
            // As libtorrent ends it: not at all.
            (b"\x02\x12/ABCDEFGH/announce", Ok(b"/ABCDEFGH/announce")),
            (b"\x02\x12/ABCDEFGH/announce\0", Ok(b"/ABCDEFGH/announce")),
            // What follows the end is nothing.
            (b"\x02\x02/a\0\x02\x02/b", Ok(b"/a")),
            (b"\x02\x02/a\0\x02", Ok(b"/a")),
            (b"\0\xff\xff", Ok(b"")),
            // Padding.
            (b"\x01\x01\x02\x02/a\x01\x01", Ok(b"/a")),
            (b"\x01", Ok(b"")),
            // In pieces, with others between.
            (
                b"\x02\x01/\x02\x00\x01\x02\x03ABC\x07\x02xx\x02\x05DEFGH\x02\x09/announce",
                Ok(b"/ABCDEFGH/announce"),
            ),
            // Unknown ones.
            (b"\x03\x00\x80\x01\x02\xff\x02\x01\x02\x02\x02/a", Ok(b"/a")),
            // Too short.
            (b"\x02", Err(Malformed)),
            (b"\x02\x01", Err(Malformed)),
            (b"\x02\x0a/announce", Err(Malformed)),
            (b"\x02\x02/a\x02", Err(Malformed)),
            (b"\x02\x02/a\x77", Err(Malformed)),
            (b"\x77\xff", Err(Malformed)),
        ] {
            let told = told.map(<[u8]>::to_vec);
            assert_eq!(read(options), told, "{}", options.escape_ascii());
        }
    }

    #[test]
    fn every_cut_of_a_message_is_an_error_or_a_beginning() {
        let whole = b"\x02\x05/ABCD\x01\x02\x05EFGH/\x09\x01\x02\x02\x08announce";
        for length in 0..whole.len() {
            let expected: Result<&[u8], _> = match length {
                0 => Ok(b""),
                7 | 8 => Ok(b"/ABCD"),
                15 | 18 => Ok(b"/ABCDEFGH/"),
                _ => Err(Malformed),
            };
            assert_eq!(read(&whole[..length]), expected.map(<[u8]>::to_vec), "{length}");
        }
        assert_eq!(read(whole).unwrap(), b"/ABCDEFGH/announce");
    }

    #[test]
    fn a_long_url_is_cut() {
        for (pieces, taken) in
            [(vec![255], 255), (vec![255, 1], 255), (vec![200, 100], 255), (vec![254], 254)]
        {
            let options: Vec<u8> = pieces
                .into_iter()
                .flat_map(|length| [&[2, length][..], &vec![b'x'; length.into()]].concat())
                .collect();
            assert_eq!(read(&options).unwrap(), vec![b'x'; taken]);
        }
        // What follows is read all the same.
        let long = [&[2, 255][..], &[b'x'; 255], &[2, 9, 0]].concat();
        assert_eq!(read(&long), Err(Malformed));
    }
}

//! Names of users.

use std::ffi::CStr;

/// Room for a user's entry at first, and at most, in bytes.
const ROOM: (usize, usize) = (1 << 10, 1 << 20);

/// The login name of a user; one that the system does not know has its number in its place.
#[allow(unsafe_code)]
pub fn name(uid: u32) -> String {
    let mut room = ROOM.0;
    while room <= ROOM.1 {
        let mut buffer = vec![0 as libc::c_char; room];
        let mut found = std::ptr::null_mut();
        // SAFETY: all zeros is a valid `passwd`: its pointers are null.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        // SAFETY: all pointers are valid for the call, and `buffer` has the length that is told.
        let error = unsafe { libc::getpwuid_r(uid, &mut entry, buffer.as_mut_ptr(), buffer.len(), &mut found) };
        match error {
            libc::ERANGE => room *= 4,
            0 if !found.is_null() && !entry.pw_name.is_null() => {
                // SAFETY: the entry was found, so its name is a string that ends within `buffer`, which lives on.
                let name = unsafe { CStr::from_ptr(entry.pw_name) };
                return name.to_string_lossy().into_owned();
            }
            _ => break,
        }
    }
    uid.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_name_or_at_least_a_number() {
        assert_eq!(name(0), "root");
        assert_eq!(name(4_123_456_789), "4123456789");
    }
}

//! `airx place DIR`: puts this program into a directory, where a container of any image finds it. Its image holds nothing else, so
//! there is no program in it that could copy.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Its name there.
const NAME: &str = "airx";
/// Anybody's to run: the container that uses it has another user.
const MODE: u32 = 0o755;

/// The directory named by the arguments, when they say `place DIR`.
pub fn requested(mut args: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    args.next();
    (args.next()? == "place").then_some(())?;
    args.next().map(Into::into)
}

/// Puts it there, whole or not at all; the exit code.
pub fn main(dir: &Path) -> i32 {
    match place(Path::new("/proc/self/exe"), dir) {
        Ok(()) => 0,
        Err(error) => {
            let text = format!("airx place: the program cannot be put into {}: {error}\n", dir.display());
            // Nobody is there to be told that it could not be said.
            let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
            1
        }
    }
}

fn place(program: &Path, dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let new = dir.join(format!(".{NAME}.new"));
    let _ = fs::remove_file(&new);
    let copied = copy(program, &new).and_then(|()| fs::rename(&new, dir.join(NAME)));
    if copied.is_err() {
        // Half of a program is of no use, and takes room.
        let _ = fs::remove_file(&new);
    }
    copied
}

fn copy(program: &Path, new: &Path) -> io::Result<()> {
    let mut target = OpenOptions::new().write(true).create_new(true).mode(MODE).open(new)?;
    io::copy(&mut File::open(program)?, &mut target)?;
    // Whatever the umask is.
    target.set_permissions(Permissions::from_mode(MODE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_whole_or_not_at_all() {
        let home = tempfile::tempdir().unwrap();
        let (program, dir) = (home.path().join("program"), home.path().join("a/b"));
        fs::write(&program, "of use").unwrap();
        for _ in 0..2 {
            place(&program, &dir).unwrap();
            assert_eq!(fs::read(dir.join("airx")).unwrap(), b"of use");
            assert_eq!(fs::metadata(dir.join("airx")).unwrap().permissions().mode() & 0o777, 0o755);
        }
        assert!(place(&home.path().join("none"), &dir).is_err());
        assert!(place(&program, &program).is_err(), "a file is no directory");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing is left over");
    }
}

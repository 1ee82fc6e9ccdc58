use proptest::prelude::*;

use super::*;

fn fits(pattern: &str, path: &str) -> bool {
    fn go(parts: &[Part], names: &[&str]) -> bool {
        match (parts, names) {
            ([], rest) => rest.is_empty(),
            ([Part::Any, rest @ ..], names) => {
                go(rest, names) && (!rest.is_empty() || !names.is_empty())
                    || matches!(names, [first, tail @ ..] if Part::Any.fits(first) && (go(parts, tail) || rest.is_empty() && tail.is_empty()))
            }
            ([part, rest @ ..], [first, tail @ ..]) => part.fits(first) && go(rest, tail),
            _ => false,
        }
    }
    let pattern = parse(pattern).unwrap();
    let names: Vec<&str> = path.split('/').collect();
    names.len() >= pattern.fixed.len()
        && pattern.fixed.iter().zip(&names).all(|(wanted, name)| wanted == name)
        && go(&pattern.parts, &names[pattern.fixed.len()..])
}

#[test]
fn patterns_mean_what_they_mean_in_a_shell() {
    for (pattern, path, expected) in [
        ("report.html", "report.html", true),
        ("*.html", "report.html", true),
        ("*.html", "a/report.html", false),
        ("*", ".hidden", false),
        (".*", ".hidden", true),
        ("**/*.html", "a/b/c.html", true),
        ("**/*.html", "c.html", true),
        ("a/**", "a/b/c", true),
        ("a/**/z", "a/z", true),
        ("a/**/z", "a/.git/z", false),
        ("?.[a-c]", "x.b", true),
        ("?.[a-c]", "x.d", false),
        ("[!a]x", "bx", true),
        ("[!a]x", "ax", false),
        ("[]]", "]", true),
        ("a*b*c", "a--b-b--c", true),
        ("a*b*c", "a--b", false),
        ("é?", "éx", true),
    ] {
        assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
    }
}

#[test]
fn what_leads_out_of_the_workspace_is_no_pattern() {
    for (text, words) in [
        ("/etc/passwd", "absolute"),
        ("../x", "leads upwards"),
        ("a/../../x", "leads upwards"),
        ("a/..", "leads upwards"),
        ("", "whole workspace"),
        (".", "whole workspace"),
        ("./", "whole workspace"),
        ("a/b**", "`**` stands alone"),
        ("[a", "no `]`"),
        ("a\u{1b}b", "control character"),
    ] {
        assert!(parse(text).unwrap_err().message.contains(words), "{text}: {:?}", parse(text));
    }
}

#[test]
fn a_name_takes_the_place_of_the_fixed_part() {
    let path = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let pattern = parse("target/criterion/**/*.html").unwrap();
    assert_eq!(pattern.name_of(None, &path(&["a", "b.html"])).unwrap(), "target/criterion/a/b.html");
    assert_eq!(pattern.name_of(Some("bench"), &path(&["a", "b.html"])).unwrap(), "bench/a/b.html");
    assert_eq!(parse("out/report.html").unwrap().name_of(Some("r.html"), &[]).unwrap(), "r.html");
    assert_eq!(pattern.name_of(None, &path(&["a\nb"])), None);
    assert_eq!(pattern.name_of(None, &path(&["x"; 40])), None);
}

#[test]
fn a_list_is_believed_nothing_that_cannot_be() {
    let entry = |name: &str, sha256: &str| serde_json::json!({ "name": name, "bytes": 3, "sha256": sha256, "at": 5 });
    let good = "ab".repeat(32);
    let list = serde_json::json!({ "files": [entry("b", &good), entry("../x", &good), entry("a", "zz"), entry("a/b", &good), entry("b", &good)] });
    let names = |manifest: &Manifest| manifest.files.iter().map(|file| file.name.clone()).collect::<Vec<_>>();
    let read = Manifest::read(list.to_string().as_bytes());
    assert_eq!(names(&read), ["a/b", "b"]);
    assert_eq!(
        read.facts().unwrap(),
        ArtifactFacts {
            count: 2,
            bytes: 6,
            named: vec![NamedArtifact { name: "a/b".into(), bytes: 3 }, NamedArtifact { name: "b".into(), bytes: 3 }],
        }
    );
    assert_eq!(Manifest::read(b"{"), Manifest::default());
    let many = Manifest {
        files: (0..2_000)
            .map(|n| Artifact { name: format!("{n:04}"), bytes: u64::MAX, sha256: good.clone(), at: Utc(0) })
            .collect(),
    };
    let read = Manifest::read(&serde_json::to_vec(&many).unwrap());
    assert_eq!((read.files.len(), read.facts().unwrap().named.len(), read.facts().unwrap().bytes), (MAX_FILES, NAMED, u64::MAX));
}

proptest! {
    /// Whatever a pattern is, and whatever lies in a workspace, no name leads out of the directory that it is kept in.
    #[test]
    fn no_pattern_and_no_name_lead_out(text in "[a-c./*?\\[\\]!~ -]{0,24}", found in prop::collection::vec("[a.\\x00-\\x1f/]{0,6}", 0..5)) {
        if let Ok(pattern) = parse(&text) {
            prop_assert!(pattern.fixed.iter().all(|name| !name.is_empty() && name != ".." && name != "." && !name.contains('/')));
            if let Some(name) = pattern.name_of(None, &found) {
                let path = std::path::Path::new(&name);
                prop_assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))), "{name:?}");
            }
        }
    }

    /// A star never takes for ever, and agrees with the plain meaning of it.
    #[test]
    fn stars_agree_with_their_meaning(text in "[ab*]{1,12}", name in "[ab]{0,14}") {
        prop_assume!(!text.contains("**"));
        fn plain(pattern: &[u8], name: &[u8]) -> bool {
            match pattern {
                [] => name.is_empty(),
                [b'*', rest @ ..] => (0..=name.len()).any(|skip| plain(rest, &name[skip..])),
                [c, rest @ ..] => name.first() == Some(c) && plain(rest, &name[1..]),
            }
        }
        prop_assume!(!name.is_empty());
        prop_assert_eq!(fits(&text, &name), plain(text.as_bytes(), name.as_bytes()));
    }
}

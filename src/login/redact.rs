//! Searches a server's text for the password, so that no error message repeats it.
//!
//! Both are normalised to the same forms first (`Forms`), and the text is decoded one layer of escapes at a time. A
//! false match only suppresses a message, a missed match shows a password: an ambiguous form therefore matches more.

use memchr::memmem;

use crate::login::text::{characters, is_invisible};
use crate::login::unescape::{decode, without_broken_escape, without_invisible, without_last};
use crate::secret::Secret;

/// The number of layers of escapes that are decoded.
const MAX_LAYERS: usize = 8;

/// The part of a password that is searched for: no displayed message is longer.
const MAX_NEEDLE_BYTES: usize = 1 << 10;

/// A password longer than this is also found without its first or its last character.
const SHORT_PASSWORD_CHARS: usize = 4;

/// True if `text` may show the password, also without its first or last character. If the text was `cut`, any beginning
/// of the password at its end counts.
pub fn contains_secret(text: &str, cut: bool, password: &str) -> bool {
    let password = Password::new(password);
    let mut whole = Secret::from(text.as_bytes());
    // The same text without an escape that the cut left incomplete.
    let mut stripped = Secret::from(if cut { without_broken_escape(text.as_bytes()) } else { b"" });
    for _ in 0..=MAX_LAYERS {
        let forms = Forms::of(&whole);
        if password.is_in(&forms) || cut && (password.ends(&forms) || password.ends(&Forms::of(&stripped))) {
            return true;
        }
        let decoded = decode(&whole);
        if decoded.len() == whole.len() {
            return false; // no escape was left
        }
        whole = decoded;
        stripped = Secret::from(without_broken_escape(&decode(&stripped)));
    }
    false
}

/// A text in the forms that are searched.
struct Forms {
    /// Case-folded, without white space, plus signs (which are spaces in a form), semicolons (which may end an entity)
    /// and invisible characters.
    folded: Secret,
    /// Only the ASCII letters and digits of `folded`. It is the same in Latin-1, with characters written as unknown
    /// entities, and with accents as separate characters.
    skeleton: Secret,
    /// The same, including letters with a combining accent.
    unaccented: Secret,
}

impl Forms {
    fn of(text: &[u8]) -> Forms {
        let mut folded = Secret::with_capacity(text.len());
        let mut skeleton = Secret::with_capacity(text.len());
        let mut unaccented = Secret::with_capacity(text.len());
        let mut letters = characters(text).filter(|letter| !is_invisible(*letter)).peekable();
        while let Some(letter) = letters.next() {
            if letter.is_ascii() {
                let lower = letter.to_ascii_lowercase() as u8;
                if !letter.is_whitespace() && !matches!(letter, '+' | ';') {
                    folded.push(lower);
                }
                if lower.is_ascii_alphanumeric() {
                    unaccented.push(lower);
                    // With a combining accent it may replace one letter that is not ASCII.
                    if !letters.peek().is_some_and(|next| is_accent(*next)) {
                        skeleton.push(lower);
                    }
                }
            } else if !letter.is_whitespace() {
                for folded_letter in fold(letter) {
                    folded.extend(folded_letter.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
        Forms { folded, skeleton, unaccented }
    }
}

/// A case-folded letter: `ß`, `ẞ` and `SS` are equal.
fn fold(letter: char) -> impl Iterator<Item = char> {
    letter.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

fn is_accent(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}')
}

/// The forms of the password that are searched for.
struct Password {
    /// The password, also without its last character: in its original form, and with its own escapes decoded.
    heads: Vec<Forms>,
    /// The same without its first character.
    tails: Vec<Forms>,
}

impl Password {
    fn new(password: &str) -> Password {
        // The text's invisible characters are removed before its escapes are decoded, so remove the password's too.
        let visible = without_invisible(password.as_bytes());
        let mut decoded = visible.clone();
        for _ in 0..MAX_LAYERS {
            decoded = decode(&decoded);
        }
        let mut found = Password { heads: Vec::new(), tails: Vec::new() };
        found.add(&visible);
        if *decoded != *visible {
            found.add(&decoded);
        }
        found
    }

    fn add(&mut self, password: &[u8]) {
        let count = characters(password).count();
        let needle = |part: &[u8]| {
            let mut needle = Forms::of(part);
            // A few letters from among others are in every text and do not identify the password.
            if needle.skeleton.len() < count.saturating_sub(1).min(SHORT_PASSWORD_CHARS) {
                needle.skeleton = Secret::default();
            }
            needle.folded.truncate(MAX_NEEDLE_BYTES);
            needle.skeleton.truncate(MAX_NEEDLE_BYTES);
            needle
        };
        self.heads.push(needle(password));
        if count > SHORT_PASSWORD_CHARS {
            self.heads.push(needle(without_last(password)));
            self.tails.push(needle(without_first(password)));
        }
    }

    fn is_in(&self, text: &Forms) -> bool {
        self.heads.iter().chain(&self.tails).any(|needle| {
            // The password contains only white space and the like: never show anything.
            needle.folded.is_empty()
                || memmem::find(&text.folded, &needle.folded).is_some()
                || !needle.skeleton.is_empty()
                    && [&text.skeleton, &text.unaccented]
                        .into_iter()
                        .any(|text| memmem::find(text, &needle.skeleton).is_some())
        })
    }

    fn ends(&self, text: &Forms) -> bool {
        self.heads.iter().any(|needle| {
            ends_with_beginning(&text.folded, &needle.folded)
                || ends_with_beginning(&text.skeleton, &needle.skeleton)
                || ends_with_beginning(&text.unaccented, &needle.skeleton)
        })
    }
}

/// True if a text ends with a beginning of `needle`, which has at most `MAX_NEEDLE_BYTES`.
fn ends_with_beginning(text: &[u8], needle: &[u8]) -> bool {
    (1..=needle.len()).any(|length| needle.get(..length).is_some_and(|start| text.ends_with(start)))
}

/// A text without its first character, or without its first byte if that is not UTF-8.
fn without_first(text: &[u8]) -> &[u8] {
    let first = text.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    text.get(first.map_or(1, char::len_utf8)..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_found(password: &str, text: &str) -> bool {
        contains_secret(text, false, password)
    }

    #[test]
    fn password_is_found_in_every_form() {
        for (password, text) in [
            ("correct horse", "no: correct horse!"),
            (" correct horse\t", "no: correct horse!"),
            ("Correct-Horse", "no: cORRECT-hORSE"),
            // One accent, and one on each letter
            ("correct-Horse9", "no: corre\u{301}ct-Horse9"),
            ("Horse9", "no: H\u{334}o\u{334}r\u{334}s\u{334}e\u{334}9\u{334}"),
            ("h\u{e4}user-stra\u{df}e", "no: H\u{c4}USER-STRASSE"),
            ("HAUSER-STRA\u{1e9e}E", "no: hauser-stra\u{df}e"),
            ("\u{436}\u{443}\u{43a}", "no: \u{416}\u{423}\u{41a}"),
            // Latin-1, read as UTF-8, and UTF-8 read as Latin-1
            ("passw\u{f6}rd", "no: passw\u{fffd}rd"),
            ("passw\u{f6}rd", "no: passw\u{c3}\u{b6}rd"),
            ("passw\u{f6}rd", "no: passw%F6rd"),
            ("abc\u{e9}", "no: abc\u{fffd}"),
            ("a\u{e9}bc\u{e9}d", "no: a\u{fffd}bc\u{fffd}d"),
            // A combining accent, and the opposite
            ("passw\u{f6}rd", "no: passwo\u{308}rd"),
            ("passwo\u{308}rd", "no: passw\u{f6}rd"),
            ("a<b>&\"c'd", "no: a&lt;b&gt;&amp;&quot;c&#39;d"),
            ("a<b>&\"c'd", "no: a&LT;b&Gt&amp&quotc&apos;d"),
            ("a<b>&\"c'd", "no: a&#60;b&#x3e;&#X0026;&#0034;c&#x27;d"),
            ("a<b>&\"c'd", "no: a&#60b&#62&#38&#34c&#39d"),
            ("a<b;&c", "no: a&ltb;&ampc"),
            ("a<;b", "no: a&lt;b"),
            ("a<b;&c", "no: a&ampltb;&ampampc"),
            ("passw\u{f6}rd", "no: passw&ouml;rd"),
            ("p a+s%s", "no: p+a%2Bs%25s"),
            ("p\u{e9}\u{1f600}\"\\", r#"no: p\u00e9\ud83d\ude00\"\\"#),
            ("p\u{e9}\u{1f600}\"\\", r"no: P\U00E9\UD83D\UDE00\x22\x5c"),
            ("a\nb\tc!", r"no: a\nb\tc!"),
            // Nested escapes
            ("p\"\u{e9}&", r#"no: {\"x\": \"p\\\"\\u00e9&\"}"#),
            ("p\"\u{e9}&", r"no: p\u0025%32%32%25C3%25A9%2526"),
            ("p\"\u{e9}&", "no: p&amp;quot;&amp;#xe9;&amp;amp;"),
            ("p\"\u{e9}&", "no: p%26quot%3B%26%2523233%3B%26amp%3B"),
            // All but one character
            ("correct", "no: orrect"),
            ("correct", "no: correc"),
            // With characters that are removed, or were
            ("cor\u{200b}rect", "no: correct"),
            ("a\\\0'<", "no: a\\'&lt;"),
            ("a \\\u{200b}\"\\n", "no: a+%5C%E2%80%8B%26quot%3B%5Cn"),
            ("correct", "no: c\u{200b}or\u{ad}r\u{feff}ect"),
            ("++++", "anything"),
            ("!!!!", "no: !!!!"),
        ] {
            assert!(is_found(password, text), "{password:?} in {text:?}");
        }
    }

    #[test]
    fn password_with_escapes_of_its_own_is_found() {
        for password in
            ["ab%41\"cd", r"a\u0041\n&b", "&amp;lt;", "&hunter;x", "%2541%", "%41&lt;\"", "ab&#37;41\"cd"]
        {
            let json = serde_json::to_string(password).unwrap();
            let percent: String = password.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let html = password.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
            for text in [password, &json, &percent, &html, &serde_json::to_string(&json).unwrap()] {
                assert!(is_found(password, &format!("no: {text}")), "{password:?} in {text:?}");
                // The backslash before it begins an escape.
                assert!(is_found(password, &format!("\\{text}")), "{password:?} in {text:?}");
            }
        }
    }

    #[test]
    fn other_text_is_not_taken_for_the_password() {
        for (password, text) in [
            ("hunter2", "no access for hunt"),
            ("hunter2", "Access denied"),
            ("p w&\"\u{e9}\\", "no: p w& is wrong"),
            ("\u{436}\u{443}\u{43a}-12", "error 12"),
            ("%%%%%%", "100% &amp; \\ &#x; &; &nosuchname %4 \\u12"),
        ] {
            assert!(!is_found(password, text), "{password:?} in {text:?}");
            assert!(!contains_secret(&format!("{text}. Q"), true, password), "{password:?} in {text:?}");
        }
    }

    #[test]
    fn beginning_of_the_password_is_found_at_a_cut_only() {
        let password = "p\u{e9}\u{1f600}w<ord";
        for encoded in [
            r"p\u00e9\ud83d\ude00w<ord",
            r"p\\u00e9\\ud83d\\ude00w\\u003cord",
            "p%C3%A9%F0%9F%98%80w%3Cord",
            "p%25C3%25A9%25F0%259F%2598%2580w%253Cord",
            "p&eacute;&#x1f600;w&lt;ord",
            "p&amp;#233;&amp;#128512;w&amp;lt;ord",
            "p&#37;C3&#37;A9&#37;F0&#37;9F&#37;98&#37;80w",
            "P\u{c9}\u{1f600}W<ORD",
        ] {
            for (end, _) in encoded.char_indices().skip(1) {
                // After an unknown entity only the letters remain, and fewer than four do not identify the password.
                if encoded.contains("&eacute;") && end > "p&eacute".len() {
                    break;
                }
                let text = format!("no: {}", &encoded[..end]);
                assert!(contains_secret(&text, true, password), "{text:?}");
            }
        }
        assert!(!is_found(password, "no: p\u{e9}"));
        assert!(contains_secret("no: passw\u{fffd}r", true, "passw\u{f6}rd"));
        assert!(!contains_secret("no: p\u{e9}x.", true, password));
    }

    #[test]
    fn case_is_folded_the_same_from_upper_and_lower() {
        let folded = |text: String| text.chars().flat_map(fold).collect::<String>();
        for letter in '\0'..'\u{20000}' {
            let letter = letter.to_string();
            let (upper, lower) = (letter.to_uppercase(), letter.to_lowercase());
            assert_eq!((folded(upper), folded(lower)), (folded(letter.clone()), folded(letter)));
        }
    }
}

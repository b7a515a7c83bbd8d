//! Whatever stands in a CA file, it gives certificates or a sentence.

use std::fs;

use couchdrop::ca_file::CaFile;
use couchdrop::failure::cd_code::CD_ERR_CA_FILE;
use couchdrop::settings::Settings;

pub fn holds(input: &[u8]) {
    let path = std::env::temp_dir().join(format!("couchdrop-fuzzing-{}.pem", std::process::id()));
    fs::write(&path, input).expect("a folder for temporary files");
    let (strict, lenient) = (CaFile::read(&path), CaFile::read_leniently(&path));
    let set = Settings::default().set_ca_file(path.to_str().expect("a path of UTF-8"));
    fs::remove_file(&path).expect("the file that was just written");

    match (&strict, &lenient) {
        (Ok(strict), Ok((lenient, 0))) => {
            assert!(!strict.anchors.is_empty());
            assert_eq!(strict.anchors.len(), strict.certificates.len());
            assert_eq!(strict.certificates, lenient.certificates);
        }
        (Err(_), Ok((lenient, broken))) => assert!(*broken > 0 && !lenient.anchors.is_empty()),
        (Err(_), Err(_)) => {}
        (Ok(_), _) => panic!("what has a broken certificate was taken"),
    }
    assert_eq!(set.is_ok(), strict.is_ok());
    if let Err(failure) = set {
        assert_eq!(failure.code(), CD_ERR_CA_FILE);
        assert!(failure.to_string().contains("couchdrop-fuzzing"), "{failure}");
    }
}

//! Any CA file gives certificates or an error message.

use std::fs;

use couchdrop::ca_file;
use couchdrop::config::Config;
use couchdrop::error::cd_code::CD_ERR_CA_FILE;

pub fn holds(input: &[u8]) {
    let path = std::env::temp_dir().join(format!("couchdrop-fuzzing-{}.pem", std::process::id()));
    fs::write(&path, input).expect("a folder for temporary files");
    let (strict, lenient) = (ca_file::read(&path), ca_file::read_leniently(&path));
    let set = Config::default().set_ca_file(path.to_str().expect("a path of UTF-8"));
    fs::remove_file(&path).expect("the file that was just written");

    match (&strict, &lenient) {
        (Ok(strict), Ok(lenient)) => assert!(!strict.is_empty() && strict == lenient),
        (Err(_), Ok(lenient)) => assert!(!lenient.is_empty()),
        (Err(_), Err(_)) => {}
        (Ok(_), Err(_)) => panic!("the strict reader accepted a file that the lenient one refused"),
    }
    assert_eq!(set.is_ok(), strict.is_ok());
    if let Err(kind) = set {
        assert_eq!(kind.code(), CD_ERR_CA_FILE);
        assert!(kind.to_string().contains("couchdrop-fuzzing"), "{kind}");
    }
}

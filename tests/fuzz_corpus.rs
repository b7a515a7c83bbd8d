//! Runs each fuzz target over each input of its corpus, to check that earlier findings stay fixed. No fuzzer is needed;
//! `make fuzz` looks for more.

mod fuzzing;

use std::fs;
use std::path::Path;

use fuzzing::TARGETS;

#[test]
fn fuzz_targets_hold_for_their_corpus() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    for target in TARGETS {
        fuzzing::run(target.name, &[]);
        let corpus = corpora.join(target.name);
        let mut count = 0;
        for entry in fs::read_dir(&corpus).expect("each target has a corpus") {
            let path = entry.unwrap().path();
            // If an input fails, its name is printed before the failure.
            println!("{}", path.display());
            fuzzing::run(target.name, &fs::read(&path).unwrap());
            count += 1;
        }
        assert!(count > 0, "{} is empty", corpus.display());
        println!("{}: {count} inputs", target.name);
    }
}

//! The man pages and the shell completions in `packaging/` are those of the command line.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use couchdrop_cli::arguments::{Arguments, ENVIRONMENT, EXAMPLES, EXIT_STATUS};

/// The date in the man pages: of the last change of their text.
const DATE: &str = "2026-11-30";

/// Set this variable to write the files.
const UPDATE: &str = "UPDATE_GENERATED";

#[test]
fn man_pages_are_current() {
    let mut command = Arguments::command();
    command.build();
    check("couchdrop.1", &man_page(&command));
    for subcommand in command.get_subcommands() {
        let name = subcommand.get_display_name().unwrap();
        check(&format!("{name}.1"), &man_page(subcommand));
    }
}

#[test]
fn completions_are_current() {
    for (shell, file) in
        [(Shell::Bash, "couchdrop.bash"), (Shell::Zsh, "_couchdrop"), (Shell::Fish, "couchdrop.fish")]
    {
        let mut script = Vec::new();
        generate(shell, &mut Arguments::command(), "couchdrop", &mut script);
        check(&format!("completions/{file}"), &script);
    }
}

fn man_page(command: &clap::Command) -> Vec<u8> {
    let man = Man::new(command.clone())
        .date(DATE)
        .source(concat!("couchdrop ", env!("CARGO_PKG_VERSION")))
        .manual("Couchdrop");
    let mut page = Vec::new();
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    man.render_synopsis_section(&mut page).unwrap();
    man.render_description_section(&mut page).unwrap();
    man.render_options_section(&mut page).unwrap();
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page).unwrap();
    }

    let mut rest = Roff::new();
    rest.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in EXIT_STATUS {
        rest.control("TP", []).text([bold(status.to_string())]).text([roman(meaning)]);
    }
    rest.control("SH", ["ENVIRONMENT"]);
    for (name, meaning) in ENVIRONMENT {
        rest.control("TP", []).text([bold(name)]).text([roman(meaning)]);
    }
    rest.control("SH", ["EXAMPLES"]);
    for (number, (purpose, example)) in EXAMPLES.into_iter().enumerate() {
        if number > 0 {
            rest.control("PP", []);
        }
        rest.text([roman(purpose)]).control("PP", []);
        rest.control("RS", ["4"])
            .control("nf", [])
            .text([roman(example)])
            .control("fi", [])
            .control("RE", []);
    }
    rest.control("SH", ["SEE ALSO"]);
    rest.text([bold("couchdrop"), roman("(1), "), bold("couchdrop-login"), roman("(1), ")]);
    rest.text([bold("couchdrop-check"), roman("(1), "), bold("libcouchdrop"), roman("(3)")]);
    rest.to_writer(&mut page).unwrap();
    page
}

/// Compares a file in `packaging/` with its content, or writes it. No line ends with white space.
fn check(file: &str, content: &[u8]) {
    let content = std::str::from_utf8(content).unwrap();
    let mut lines: Vec<&str> = Vec::new();
    for line in content.lines().map(str::trim_end) {
        // Each section of a man page defines the apostrophe again.
        if !(line.contains(".ds Aq") && lines.contains(&line)) {
            lines.push(line);
        }
    }
    let content = lines.join("\n") + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(file);
    if std::env::var_os(UPDATE).is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &content).unwrap();
    }
    assert!(
        fs::read_to_string(&path).is_ok_and(|current| current == content),
        "packaging/{file} is not current: run `{UPDATE}=1 cargo test -p couchdrop-cli --test generated`"
    );
}

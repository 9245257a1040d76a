//! The published table of exit codes and error kinds: `sortie help exit-codes`.

use sortie_host::kinds;
use std::fmt::Write;

/// The widest line of the page.
const WIDTH: usize = 100;

/// The page.
pub(crate) fn page() -> String {
    let mut page = String::from(
        "Exit codes of sortie, and the error kinds behind them.\n\n\
         A run that fails prints {\"error\":{\"kind\":..}}; the kind decides the exit code. Kinds marked with * may\n\
         succeed later without anybody changing anything: try again, after retryAfterSeconds if that is given.\n",
    );
    let mut last = None;
    put_code(&mut page, 0);
    for kind in kinds::ALL {
        if last != Some(kind.exit_code) {
            put_code(&mut page, kind.exit_code);
            last = Some(kind.exit_code);
        }
        let name = format!("{}{}", kind.name, if kind.retryable { " *" } else { "" });
        put_wrapped(&mut page, &name, &format!("{} {}", kind.meaning, kind.remedy));
    }
    page
}

fn put_code(page: &mut String, code: u8) {
    let meaning = match code {
        0 => "done",
        1 => "the action failed",
        2 => "usage",
        65 => "input refused",
        69 => "service unavailable",
        74 => "the store cannot be used",
        75 => "try again later",
        77 => "not permitted",
        78 => "configuration",
        130 => "interrupted",
        _ => "",
    };
    // Writing to a String cannot fail.
    let _ = write!(page, "\n{code:>3}  {meaning}\n");
}

/// A kind and what is said about it, wrapped into a column of its own.
fn put_wrapped(page: &mut String, name: &str, text: &str) {
    let indent = 27;
    let mut line = format!("       {name:<width$}", width = indent - 7);
    let mut begun = false;
    for word in text.split(' ') {
        if begun && line.chars().count() + 1 + word.chars().count() > WIDTH {
            page.push_str(&line);
            page.push('\n');
            line = " ".repeat(indent);
            begun = false;
        }
        if begun {
            line.push(' ');
        }
        line.push_str(word);
        begun = true;
    }
    page.push_str(&line);
    page.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_stands_under_its_code() {
        let page = page();
        let mut code = 0;
        let mut found = 0;
        for line in page.lines().skip(4) {
            assert!(line.chars().count() <= WIDTH, "{line}");
            if let Some(number) = line.get(..3).and_then(|start| start.trim().parse::<u8>().ok()) {
                assert!(line.len() > 5, "code {number} has no meaning");
                code = number;
            }
            let name = line.trim().split(' ').next().unwrap_or_default();
            if line.starts_with("       ") && !line.starts_with("        ") {
                let kind = kinds::find(name).unwrap_or_else(|| panic!("{name}"));
                assert_eq!(kind.exit_code, code, "{name}");
                assert_eq!(kind.retryable, line.contains(" * "), "{name}");
                found += 1;
            }
        }
        assert_eq!(found, kinds::ALL.len());
    }
}

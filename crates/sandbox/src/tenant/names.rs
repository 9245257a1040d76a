//! Names of accounts and devices. Departments, roles and numbers only: nothing here is a person.

use super::chance::Chance;

const DEPARTMENTS: &[(&str, &str)] = &[
    ("finance", "Finance Clerk"),
    ("sales", "Sales Desk"),
    ("legal", "Legal Counsel"),
    ("hr", "Personnel Office"),
    ("plant", "Plant Operator"),
    ("helpdesk", "Help Desk"),
    ("research", "Research Bench"),
    ("reception", "Reception"),
];

/// An account name such as `finance07`.
pub(super) fn account(chance: &mut Chance) -> String {
    let (short, _) = chance.pick(DEPARTMENTS);
    format!("{short}{:02}", 1 + chance.below(40))
}

/// The display name of an account.
pub(super) fn display_name(account: &str) -> String {
    let split = account.find(|c: char| c.is_ascii_digit()).unwrap_or(account.len());
    let (short, number) = account.split_at(split);
    let title = DEPARTMENTS.iter().find(|(known, _)| *known == short).map_or(short, |(_, title)| title);
    format!("{title} {number}").trim_end().to_owned()
}

/// A device name without domain, and whether it is a server.
pub(super) fn device(chance: &mut Chance, number: u64) -> (String, bool) {
    match chance.below(10) {
        0 => (format!("srv-file-{number:03}"), true),
        1 => (format!("srv-sql-{number:03}"), true),
        2 => (format!("dc-{number:02}"), true),
        3..=5 => (format!("lt-{}-{number:03}", chance.pick(&["finance", "sales", "legal", "hr"])), false),
        _ => (format!("ws-{number:03}"), false),
    }
}

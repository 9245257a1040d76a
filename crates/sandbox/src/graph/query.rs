//! The query options of Graph lists, as far as they are common to incidents and alerts.

use super::bad;
use crate::call::Call;
use crate::filter::{Expression, Field};
use crate::odata::{self, Token};
use crate::reply::Refusal;
use crate::switches::{Newest, Switches, TopRule, Undocumented};
use crate::tenant::list::{By, Order};

/// A list request.
#[derive(Debug)]
pub(super) struct Query<'a> {
    pub(super) filter: Option<(&'a str, Expression)>,
    pub(super) top: usize,
    pub(super) skip: usize,
    pub(super) count: bool,
    pub(super) expand: bool,
    pub(super) order: Order,
    pub(super) select: Option<Vec<&'a str>>,
    pub(super) token: Option<Token>,
}

/// The default order.
pub(super) fn newest(switches: &Switches) -> Order {
    let by = match switches.newest {
        Newest::Created => By::Created,
        Newest::Updated => By::Updated,
    };
    Order { by, ascending: false }
}

/// Reads the options of a list of things with those filterable fields; `expandable` is the one navigation property, if there is one.
pub(super) fn read<'a>(
    call: &'a Call,
    fields: &[Field],
    expandable: Option<&str>,
    properties: &[&str],
) -> Result<Query<'a>, Refusal> {
    let switches = &call.switches;
    let mut query = Query {
        filter: None,
        top: switches.graph_default_page,
        skip: 0,
        count: false,
        expand: false,
        order: newest(switches),
        select: None,
        token: None,
    };
    for (name, value) in odata::options(call)? {
        match name {
            "$filter" => query.filter = Some((value, odata::read_filter(value, fields, switches)?)),
            "$top" => query.top = top(odata::number(name, value)?, switches.graph_top)?,
            "$skip" => {
                query.skip = odata::number(name, value)?;
                if query.skip as u64 > switches.graph_skip_limit {
                    return Err(bad(format!(
                        "The limit of '{}' for Skip query has been exceeded.",
                        switches.graph_skip_limit
                    )));
                }
            }
            "$count" => {
                query.count = match value {
                    "true" => true,
                    "false" => false,
                    _ => return Err(bad(format!("Invalid value '{value}' for $count query option found."))),
                };
            }
            "$expand" => query.expand = expand(value, expandable)?,
            "$skiptoken" => query.token = Some(Token::read(value)?),
            "$orderby" => match switches.graph_orderby {
                Undocumented::Obey => query.order = order(value)?,
                Undocumented::Ignore => {}
                Undocumented::Refuse => return Err(unsupported(name)),
            },
            "$select" => match switches.graph_select {
                Undocumented::Obey => query.select = Some(select(value, properties)?),
                Undocumented::Ignore => {}
                Undocumented::Refuse => return Err(unsupported(name)),
            },
            _ if switches.graph_other_options == Undocumented::Refuse => return Err(unsupported(name)),
            _ => {}
        }
    }
    Ok(query)
}

pub(super) fn unsupported(name: &str) -> Refusal {
    bad(format!("Query option '{name}' is not allowed."))
}

fn top(top: usize, rule: TopRule) -> Result<usize, Refusal> {
    match rule {
        TopRule::Refuse50 if top > 50 => Err(bad(
            "The limit of '50' for Top query has been exceeded. The value from the incoming request is above it.",
        )),
        TopRule::Refuse50 => Ok(top),
        TopRule::Clamp50 => Ok(top.min(50)),
        TopRule::Clamp1000 => Ok(top.min(1_000)),
    }
}

/// Reads `$expand`: the one property, without options of its own.
pub(super) fn expand(value: &str, expandable: Option<&str>) -> Result<bool, Refusal> {
    if expandable == Some(value) {
        Ok(true)
    } else {
        Err(bad(format!("Parsing OData Select and Expand failed: Could not find a property named '{value}'.")))
    }
}

/// Reads `$select`: names of properties, with commas between them.
pub(super) fn select<'a>(value: &'a str, properties: &[&str]) -> Result<Vec<&'a str>, Refusal> {
    value
        .split(',')
        .map(|name| {
            let name = name.trim();
            if properties.contains(&name) {
                Ok(name)
            } else {
                Err(bad(format!("Parsing OData Select and Expand failed: Could not find a property named '{name}'.")))
            }
        })
        .collect()
}

fn order(value: &str) -> Result<Order, Refusal> {
    let mut words = value.split_whitespace();
    let by = match words.next() {
        Some("createdDateTime") => By::Created,
        Some("lastUpdateDateTime") => By::Updated,
        _ => return Err(bad(format!("The $orderby expression '{value}' is not supported."))),
    };
    let ascending = match words.next() {
        None | Some("asc") => true,
        Some("desc") => false,
        Some(_) => return Err(bad(format!("The $orderby expression '{value}' is not supported."))),
    };
    if words.next().is_some() {
        return Err(bad(format!("The $orderby expression '{value}' is not supported.")));
    }
    Ok(Order { by, ascending })
}

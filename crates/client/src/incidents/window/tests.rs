use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Incidents as (id, created, updated), in seconds.
type Tenant = Vec<(u64, i64, i64)>;

fn instant(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A service that answers at most `reach` incidents of a window, in an order of its own.
fn read(tenant: &Tenant, window: Window, reach: usize, seen: &mut BTreeSet<u64>) -> (Order, bool) {
    let within = |created: i64| {
        window.from.is_none_or(|from| instant(created) >= from)
            && window.until.is_none_or(|until| instant(created) <= until)
    };
    let matching: Vec<_> = tenant.iter().filter(|(_, created, _)| within(*created)).collect();
    let mut order = Order::new();
    for (id, created, updated) in matching.iter().take(reach) {
        seen.insert(*id);
        let json = format!(
            r#"{{"id":"{id}","createdDateTime":"{}","lastUpdateDateTime":"{}"}}"#,
            instant(*created),
            instant(*updated)
        );
        order.note(&IncidentView::of(&json));
    }
    (order, matching.len() > reach)
}

/// Reads everything by cutting windows; answers the number of windows read.
fn read_all(tenant: &Tenant, reach: usize, seen: &mut BTreeSet<u64>) -> Result<usize, TooManyAt> {
    let mut windows = vec![Window::default()];
    let mut count = 0;
    while let Some(window) = windows.pop() {
        count += 1;
        assert!(count < 20_000, "no end");
        let (order, more) = read(tenant, window, reach, seen);
        if more {
            windows.extend(order.rest_of(window)?);
        }
    }
    Ok(count)
}

#[derive(Clone, Copy, Debug)]
enum By {
    Created,
    Updated,
    Id,
    Shuffled,
}

fn ordered(mut tenant: Tenant, by: By) -> Tenant {
    tenant.sort_by_key(|(id, created, updated)| {
        std::cmp::Reverse(match by {
            By::Created => (*created, *id),
            By::Updated => (*updated, *id),
            By::Id => (0, *id),
            By::Shuffled => ((id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7) as i64, *id),
        })
    });
    tenant
}

fn order() -> impl Strategy<Value = By> {
    prop::sample::select(vec![By::Created, By::Updated, By::Id, By::Shuffled])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn nothing_is_lost_under_any_order(
        times in prop::collection::vec((0..60i64, 0..40i64), 0..150), by in order(), reach in 4..30usize,
    ) {
        let tenant: Tenant =
            times.iter().zip(1..).map(|((created, later), id)| (id, *created, created + if later % 3 == 0 { *later } else { 0 })).collect();
        let crowd = (0..60).map(|second| tenant.iter().filter(|(_, created, _)| *created == second).count()).max().unwrap_or(0);
        let mut seen = BTreeSet::new();
        match read_all(&ordered(tenant.clone(), by), reach, &mut seen) {
            Ok(_) => prop_assert_eq!(seen.len(), tenant.len()),
            Err(TooManyAt(at)) => {
                prop_assert!(crowd > reach, "{crowd} at one instant, {reach} in reach");
                prop_assert!(at.is_some());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn nothing_is_lost_where_the_order_shows(
        times in prop::collection::vec((0..2_000i64, 0..400i64), 200..500), by in order(), reach in 40..150usize,
    ) {
        let tenant: Tenant = times.iter().zip(1..).map(|((created, later), id)| (id, *created, created + later % 7 * later)).collect();
        let mut seen = BTreeSet::new();
        read_all(&ordered(tenant.clone(), by), reach, &mut seen).unwrap();
        prop_assert_eq!(seen.len(), tenant.len());
    }
}

#[test]
fn newest_first_costs_little_more_than_the_pages() {
    let tenant: Tenant = (1..=2500).map(|id| (id, id as i64 * 60, id as i64 * 60)).collect();
    let mut seen = BTreeSet::new();
    let windows = read_all(&ordered(tenant, By::Created), 550, &mut seen).unwrap();
    assert_eq!(seen.len(), 2500);
    assert_eq!(windows, 5, "each window repeats one incident only");
}

#[test]
fn incidents_changed_all_at_once_are_cut_by_creation() {
    // By last update, newest first, all changed in the last minute: the order shows no boundary that leads anywhere.
    let tenant: Tenant = (1..=2000).map(|id| (id, id as i64 * 60, 1_000_000 + (id as i64 * 7919) % 60)).collect();
    let mut seen = BTreeSet::new();
    read_all(&ordered(tenant, By::Updated), 550, &mut seen).unwrap();
    assert_eq!(seen.len(), 2000);
}

#[test]
fn too_many_at_one_instant_are_named() {
    let tenant: Tenant = (1..=900).map(|id| (id, if id <= 700 { 777 } else { id as i64 * 60 }, 1_000_000)).collect();
    let mut seen = BTreeSet::new();
    assert_eq!(read_all(&ordered(tenant, By::Created), 550, &mut seen), Err(TooManyAt(Some(instant(777)))));
}

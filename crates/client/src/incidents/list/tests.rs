use crate::fake::{By, Fake, Listed, Row};
use proptest::prelude::*;
use sortie_sdk::kinds;
use std::collections::BTreeSet;

/// As many incidents, one a minute.
fn rows(count: u64) -> Vec<Row> {
    (1..=count).map(|id| (id, id as i64 * 60, id as i64 * 60)).collect()
}

/// Fails unless every incident of the tenant came exactly once.
fn assert_whole(listed: &Listed, count: u64) {
    let unique: BTreeSet<u64> = listed.ids.iter().chain(listed.quarantined.iter().flatten()).copied().collect();
    assert_eq!(unique.len(), listed.ids.len() + listed.quarantined.len(), "none twice");
    assert_eq!(unique.len() as u64, count);
    assert_eq!(listed.read, count);
}

#[test]
fn as_many_calls_as_pages() {
    for (xdr, size) in [(false, 50), (true, 100)] {
        for count in [0, 1, size - 1, size, size + 1, 2_499, 2_500, 2_501] {
            let listed = Fake::new(xdr, rows(count)).list(false, None).unwrap();
            assert_whole(&listed, count);
            let pages = count.div_ceil(size).max(1);
            // Where the last page is full, an empty or repeated one proves the end.
            let proof = u64::from(count > 0 && count % size == 0);
            assert_eq!(listed.calls, pages + proof, "{count} incidents, {size} a page");
        }
    }
}

#[test]
fn a_full_last_page_is_proven_the_last_by_one_call_in_any_order() {
    for by in [By::Created, By::Updated, By::Shuffled] {
        let times = rows(2_500).into_iter().map(|(id, created, _)| (id, created, 500_000 + (id as i64 * 7919) % 9_973));
        let listed = Fake { by, ..Fake::new(false, times.collect()) }.list(false, None).unwrap();
        assert_whole(&listed, 2_500);
        assert_eq!(listed.calls, 51, "{by:?}");
    }
}

#[test]
fn next_links_are_not_needed() {
    for by in [By::Created, By::Updated, By::Shuffled] {
        let fake = Fake { links: false, by, ..Fake::new(false, rows(2_501)) };
        let listed = fake.list(false, None).unwrap();
        assert_whole(&listed, 2_501);
        let most = if by == By::Shuffled { 400 } else { 60 };
        assert!(listed.calls <= most, "{by:?}: {}", listed.calls);
    }
}

#[test]
fn a_forgotten_next_link_ends_nothing() {
    for page in [1, 2, 15, 30] {
        let fake = Fake { forgets_link_after: Some(page), ..Fake::new(false, rows(2_000)) };
        let listed = fake.list(false, None).unwrap();
        assert_whole(&listed, 2_000);
    }
}

#[test]
fn three_hundred_at_one_instant_all_come() {
    for links in [true, false] {
        let mut tenant = rows(2_000);
        tenant.extend((5_000..5_300).map(|id| (id, 60_000, 60_000)));
        let listed = Fake { links, ..Fake::new(false, tenant) }.list(false, None).unwrap();
        assert_whole(&listed, 2_300);
    }
}

#[test]
fn more_at_one_instant_than_offsets_reach_is_an_error_that_names_it() {
    let tenant: Vec<Row> = (1..=700).map(|id| (id, 60_000, 60_000)).collect();
    let error = Fake { links: false, ..Fake::new(false, tenant) }.list(false, None).unwrap_err();
    assert_eq!(error.kind(), kinds::FAILED);
    assert!(error.message().contains("1970-01-01T16:40:00Z"), "{error}");
}

#[test]
fn an_offset_limit_below_the_documented_one_is_found_out() {
    let listed = Fake { links: false, reach: 100, ..Fake::new(false, rows(1_000)) }.list(false, None).unwrap();
    assert_whole(&listed, 1_000);
}

#[test]
fn a_smaller_page_limit_is_found_out_once() {
    let listed = Fake { page_max: 20, ..Fake::new(false, rows(130)) }.list(false, None).unwrap();
    assert_whole(&listed, 130);
    assert_eq!(listed.calls, 8, "one that was refused and seven pages");
    // A refusal of anything else is no reason to go on.
    let fake = Fake { page_max: 0, ..Fake::new(false, rows(10)) };
    assert_eq!(fake.list(false, None).unwrap_err().kind(), kinds::FAILED);
    assert_eq!(fake.requests.lock().unwrap().len(), 1);
}

#[test]
fn a_listing_that_loops_is_an_error() {
    let error = Fake { loops: true, ..Fake::new(false, rows(500)) }.list(false, None).unwrap_err();
    assert_eq!(error.kind(), kinds::BAD_RESPONSE);
    assert!(error.message().contains("leads back"), "{error}");
}

#[test]
fn a_limit_asks_for_no_more_than_it_needs() {
    let fake = Fake::new(false, rows(500));
    let listed = fake.list(false, Some(7)).unwrap();
    assert_eq!((listed.ids.len(), listed.calls), (7, 1));
    assert_eq!(fake.requests.lock().unwrap()[0]["query"][0], serde_json::json!(["$top", "7"]));
    let listed = Fake::new(false, rows(500)).list(false, Some(120)).unwrap();
    assert_eq!((listed.ids.len(), listed.calls), (120, 3));
}

#[test]
fn unknown_members_are_asked_for_on_every_page_of_graph() {
    let fake = Fake::new(false, rows(120));
    fake.list(false, None).unwrap();
    let requests = fake.requests.lock().unwrap();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|head| head["headers"]["Prefer"] == "include-unknown-enum-members"), "{requests:?}");
}

#[test]
fn a_page_cut_short_is_asked_for_again_once() {
    let fake = Fake::new(false, rows(120));
    *fake.cut_short.lock().unwrap() = 1;
    assert_whole(&fake.list(false, None).unwrap(), 120);
    *fake.cut_short.lock().unwrap() = 2;
    assert_eq!(fake.list(false, None).unwrap_err().kind(), kinds::BAD_RESPONSE);
}

#[test]
fn new_incidents_while_listing_hide_none() {
    // Two incidents arrive before each of the first pages; offsets shift.
    let arrive = |number: u64, rows: &mut Vec<Row>| {
        if (2..8).contains(&number) {
            for id in [number * 1_000, number * 1_000 + 1] {
                rows.push((id, 990_000 + id as i64, 1_000_100));
            }
        }
    };
    for xdr in [true, false] {
        let fake = Fake { on_request: Some(&arrive), links: false, ..Fake::new(xdr, rows(450)) };
        let listed = fake.list(false, None).unwrap();
        let unique: BTreeSet<u64> = listed.ids.iter().copied().collect();
        assert_eq!(unique.len(), listed.ids.len());
        assert!((1..=450).all(|id| unique.contains(&id)));
        // The listing moved, so what changed meanwhile was read too.
        assert!(unique.contains(&2_000) && unique.contains(&3_001), "{:?}", listed.calls);
    }
}

#[test]
fn an_incident_that_moves_up_while_listing_is_not_missed() {
    let touch = |number: u64, rows: &mut Vec<Row>| {
        if number == 2 {
            // The oldest one changes, and another is new: everything else moves down by two.
            rows[0].2 = 1_000_200;
            rows.push((9_000, 999_999, 1_000_201));
        }
    };
    let fake = Fake { on_request: Some(&touch), by: By::Updated, ..Fake::new(true, rows(350)) };
    let listed = fake.list(false, None).unwrap();
    assert!(listed.ids.contains(&1) && listed.ids.contains(&9_000));
    assert_eq!(listed.ids.len(), 351);
}

#[test]
fn an_incident_that_leaves_the_filter_takes_no_neighbour_with_it() {
    for (at, gone) in [(2, 350), (2, 251), (3, 300), (4, 399)] {
        // One of the first page is resolved while a later page is under way: everything else moves up by one.
        let resolve = move |number: u64, rows: &mut Vec<Row>| {
            if number == at {
                rows.retain(|row| row.0 != gone);
            }
        };
        for (xdr, alerts) in [(true, true), (false, false)] {
            let fake = Fake { on_request: Some(&resolve), links: false, filtered: true, ..Fake::new(xdr, rows(400)) };
            let listed = fake.list(alerts, None).unwrap();
            let unique: BTreeSet<u64> = listed.ids.iter().copied().collect();
            let lost: Vec<u64> = (1..=400).filter(|id| *id != gone && !unique.contains(id)).collect();
            assert!(lost.is_empty(), "{lost:?} when {gone} left");
            assert_eq!(unique.len(), listed.ids.len());
            assert!(listed.warnings.is_empty(), "{:?}", listed.warnings);
        }
    }
}

#[test]
fn one_that_leaves_and_one_that_moves_up_do_not_hide_each_other() {
    let change = |number: u64, rows: &mut Vec<Row>| {
        if number == 2 {
            rows.retain(|row| row.0 != 350);
            rows[0].2 = 1_000_200;
        }
    };
    let fake = Fake { on_request: Some(&change), by: By::Updated, filtered: true, ..Fake::new(true, rows(400)) };
    assert!(fake.list(false, None).unwrap().ids.contains(&1));
}

#[test]
fn pages_that_overlap_cost_little() {
    // 100, 99 new ones each of three times, and one call for what changed meanwhile.
    let listed = Fake { filtered: true, ..Fake::new(true, rows(390)) }.list(false, None).unwrap();
    assert_whole(&listed, 390);
    assert_eq!(listed.calls, 5);
    let listed = Fake { filtered: true, ..Fake::new(true, rows(90)) }.list(false, None).unwrap();
    assert_eq!(listed.calls, 1);
    // Next links are the service's own affair.
    let listed = Fake { filtered: true, ..Fake::new(false, rows(390)) }.list(false, None).unwrap();
    assert_eq!(listed.calls, 8);
}

#[test]
fn heavy_incidents_do_not_stop_pages_that_overlap() {
    for bad in [vec![351], vec![1, 2], vec![350, 351, 352], vec![390, 60, 61]] {
        let bad: BTreeSet<u64> = bad.into_iter().collect();
        let tenant = Fake { links: false, filtered: true, ..Fake::new(false, rows(400)) };
        let listed = Fake { heavy: bad.clone(), hopeless: bad.clone(), ..tenant }.list(true, None).unwrap();
        assert_whole(&listed, 400);
        assert_eq!(listed.quarantined.iter().flatten().copied().collect::<BTreeSet<_>>(), bad);
        assert!(listed.warnings.is_empty(), "{:?}", listed.warnings);
    }
}

#[test]
fn an_incident_that_moves_up_between_windows_is_not_missed() {
    // No page repeats anything: the oldest changes when the first window was read as far as offsets reach.
    let touch = |number: u64, rows: &mut Vec<Row>| {
        if number == 12 {
            rows[0].2 = 1_000_200;
            rows[0].1 = 1_000_200;
        }
    };
    let fake = Fake { on_request: Some(&touch), links: false, ..Fake::new(false, rows(1_000)) };
    let listed = fake.list(false, None).unwrap();
    assert!(listed.ids.contains(&1), "{} calls", listed.calls);
}

#[test]
fn a_listing_that_never_rests_ends_with_a_warning() {
    let arrive = |number: u64, rows: &mut Vec<Row>| rows.push((10_000 + number, 1_000_100, 1_000_100 + number as i64));
    let busy: Vec<Row> = (1..=350).map(|id| (id, 900_000 + id as i64, 1_000_000 + id as i64 % 90)).collect();
    let fake = Fake { on_request: Some(&arrive), by: By::Updated, ..Fake::new(true, busy) };
    let listed = fake.list(false, None).unwrap();
    assert!((1..=350).all(|id| listed.ids.contains(&id)));
    assert!(listed.warnings[0].contains("kept changing"), "{:?}", listed.warnings);
    assert_eq!(listed.calls, 16, "four rounds");
    // So does one that ever more incidents leave.
    let leave = |number: u64, rows: &mut Vec<Row>| rows.retain(|row| row.0 != 600 - number);
    let fake = Fake { on_request: Some(&leave), filtered: true, ..Fake::new(true, rows(600)) };
    let listed = fake.list(false, None).unwrap();
    assert!((1..=570).all(|id| listed.ids.contains(&id)));
    assert!(listed.warnings[0].contains("kept changing"), "{:?}", listed.warnings);
}

#[test]
fn an_incident_that_the_visitor_cannot_take_is_not_taken_for_a_bad_page() {
    for xdr in [true, false] {
        let fake = Fake { refused: Some(250), ..Fake::new(xdr, rows(300)) };
        let error = fake.list(true, None).unwrap_err();
        assert_eq!(error.kind(), kinds::RESPONSE_TOO_LARGE);
        assert_eq!(fake.requests.lock().unwrap().len(), if xdr { 1 } else { 2 }, "nothing is asked for again");
    }
}

#[test]
fn heavy_incidents_do_not_stop_their_neighbours() {
    for heavy in [vec![1], vec![60], vec![99, 100], vec![10, 55, 300], vec![120, 121, 122, 123]] {
        let fake = Fake { heavy: heavy.iter().copied().collect(), ..Fake::new(false, rows(400)) };
        let listed = fake.list(true, None).unwrap();
        assert_whole(&listed, 400);
        assert!(listed.quarantined.is_empty(), "each can be read alone");
        assert!(listed.calls < 8 + 45 * heavy.len() as u64, "{} calls for {heavy:?}", listed.calls);
    }
}

#[test]
fn incidents_that_fail_alone_are_handed_over_without_alerts() {
    let bad = BTreeSet::from([60, 61, 390]);
    let fake = Fake { heavy: bad.clone(), hopeless: bad.clone(), ..Fake::new(false, rows(400)) };
    let listed = fake.list(true, None).unwrap();
    assert_whole(&listed, 400);
    assert_eq!(listed.quarantined.iter().flatten().copied().collect::<BTreeSet<_>>(), bad);
}

#[test]
fn heavy_incidents_deep_in_a_listing_are_reached_by_windows() {
    let fake = Fake { heavy: BTreeSet::from([700]), ..Fake::new(false, rows(2_000)) };
    assert_whole(&fake.list(true, None).unwrap(), 2_000);
}

#[test]
fn when_everything_fails_nothing_is_quarantined() {
    let all: BTreeSet<u64> = (1..=400).collect();
    let fake = Fake { heavy: all.clone(), hopeless: all, ..Fake::new(false, rows(400)) };
    let error = fake.list(true, None).unwrap_err();
    assert_eq!(error.kind(), kinds::UNAVAILABLE);
    assert!(fake.requests.lock().unwrap().len() < 25);
}

fn order() -> impl Strategy<Value = By> {
    prop::sample::select(vec![By::Created, By::Updated, By::Shuffled])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(25))]

    #[test]
    fn nothing_is_lost_whatever_the_service_does(
        times in prop::collection::vec((0..4_000i64, 0..300i64), 0..900),
        xdr in any::<bool>(), links in any::<bool>(), by in order(), reach in prop::sample::select(vec![60u64, 120, 500]),
        filtered in any::<bool>(), heavy in prop::collection::btree_set(1..900u64, 0..4), forgets in prop::option::of(1..12u64),
    ) {
        let tenant: Vec<Row> = times.iter().zip(1..).map(|((created, later), id)| (id, *created, created + later)).collect();
        let count = tenant.len() as u64;
        let hopeless = heavy.iter().copied().take(1).collect();
        let fake = Fake { links, by, reach: if xdr { u64::MAX } else { reach }, heavy, hopeless, filtered, forgets_link_after: forgets, ..Fake::new(xdr, tenant) };
        let listed = fake.list(true, None).unwrap();
        assert_whole(&listed, count);
        prop_assert!(listed.warnings.is_empty());
    }
}

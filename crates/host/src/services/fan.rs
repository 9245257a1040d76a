//! Several futures at once, a bounded number in flight, results in order.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// Runs every future, at most `width` at the same time, and answers in their order.
pub(crate) async fn bounded<F: Future>(futures: Vec<F>, width: usize) -> Vec<F::Output> {
    let mut results: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    let mut waiting = futures.into_iter().enumerate();
    let mut running: Vec<(usize, Pin<Box<F>>)> = Vec::with_capacity(width.max(1));
    poll_fn(|context| {
        loop {
            while running.len() < width.max(1) {
                let Some((at, future)) = waiting.next() else { break };
                running.push((at, Box::pin(future)));
            }
            if running.is_empty() {
                return Poll::Ready(());
            }
            let before = running.len();
            running.retain_mut(|(at, future)| match future.as_mut().poll(context) {
                Poll::Ready(result) => {
                    if let Some(place) = results.get_mut(*at) {
                        *place = Some(result);
                    }
                    false
                }
                Poll::Pending => true,
            });
            // A place became free: fill it and poll again, else wait to be woken.
            if running.len() == before {
                return Poll::Pending;
            }
        }
    })
    .await;
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn results_keep_their_order_and_the_width_holds() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let results = runtime.block_on(async {
            let futures = (0..100_usize)
                .map(|number| {
                    let (now, most) = (&now, &most);
                    async move {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        for _ in 0..number % 7 {
                            tokio::task::yield_now().await;
                        }
                        now.fetch_sub(1, Ordering::SeqCst);
                        number
                    }
                })
                .collect();
            bounded(futures, 4).await
        });
        assert_eq!(results, (0..100).collect::<Vec<_>>());
        assert_eq!(most.load(Ordering::SeqCst), 4);
    }

    #[test]
    fn nothing_is_done_at_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(runtime.block_on(bounded(Vec::<std::future::Ready<()>>::new(), 4)).is_empty());
    }
}

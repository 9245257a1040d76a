//! A thread of its own for what may block for ever, such as a write to a pipe that nobody reads.
//!
//! The runtime's own threads for blocking work are waited for when it ends; this one is not, so a stuck write never
//! holds the end of the process.

use std::io;
use std::sync::mpsc::{Sender, channel};
use tokio::sync::oneshot;

type Job<T> = Box<dyn FnOnce(&mut T) + Send>;

/// A value that lives on a thread of its own. The thread ends when this is dropped and its last job is done.
pub(super) struct Worker<T> {
    jobs: Sender<Job<T>>,
}

impl<T: Send + 'static> Worker<T> {
    /// Starts the thread.
    pub(super) fn start(mut value: T) -> io::Result<Self> {
        let (jobs, queue) = channel::<Job<T>>();
        std::thread::Builder::new().name("sink".to_owned()).spawn(move || {
            for job in queue {
                job(&mut value);
            }
        })?;
        Ok(Self { jobs })
    }

    /// Runs a job, after those before it. A job whose answer is not waited for is run all the same. None when a job
    /// panicked.
    pub(super) async fn run<R: Send + 'static>(&self, job: impl FnOnce(&mut T) -> R + Send + 'static) -> Option<R> {
        let (answer, done) = oneshot::channel();
        self.jobs.send(Box::new(move |value| drop(answer.send(job(value))))).ok()?;
        done.await.ok()
    }
}

//! Does the X server still answer? One that hangs closes no connection and sends no event: only a question shows it.
//!
//! ```text
//!           a question is not answered            QUESTIONS in a row are not
//!  Answers ────────────────────────────▶ Silent ─────────────────────────────▶ hung: `run` is told, and replaces it
//!     ▲                                    │ said in the log, the status, on the page
//!     └────────────────────────────────────┘ an answer, or the end of the server
//! ```
//!
//! Time that the whole container was frozen counts as one question at most. A server that has done nothing since its last
//! answer is not asked: see [`Rest`].

use super::uplink::Uplink;
use crate::desktop::{Answer, Desktop, Rest};
use std::io;
use std::sync::Arc;
use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// From an answer to the next question. With [`ANSWER`] it makes how soon a hang is noticed.
const EVERY: Duration = Duration::from_secs(2);
/// From one look at a server that rests to the next: each wakes a processor, which costs more than the look.
const LOOK_EVERY: Duration = Duration::from_millis(2500);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(2);
/// After an answer the server still does what comes with it.
const SETTLES: Duration = Duration::from_millis(20);
/// So many questions without an answer are a hang: it has had a quarter of a minute.
const QUESTIONS: u32 = 7;
/// `run` is told no more often that this worker turns; it misses that after twice as long, twice.
const TURNS_EVERY: Duration = Duration::from_secs(4);

/// Asks until the process ends, in a thread of its own. Without an uplink the server is somebody else's, who may stop it as
/// he likes.
pub(super) fn start(desktop: Desktop, uplink: Option<Arc<Uplink>>) -> io::Result<()> {
    let turn = Arc::new(Notify::new());
    if let Some(uplink) = uplink.clone() {
        let turn = turn.clone();
        tokio::spawn(async move {
            loop {
                // The event loop turns, or this would not be said.
                uplink.alive();
                turn.notified().await;
            }
        });
    }
    let run = move || watch(&desktop, uplink.as_deref(), &turn);
    Builder::new().name("watch".to_owned()).spawn(run)?;
    Ok(())
}

fn watch(desktop: &Desktop, uplink: Option<&Uplink>, turn: &Notify) {
    let mut silence = Silence::default();
    let mut rest: Option<Rest> = None;
    let mut turned = Instant::now();
    loop {
        if silence.questions == 0 {
            sleep(if rest.is_some() { LOOK_EVERY } else { EVERY });
        }
        if turned.elapsed() >= TURNS_EVERY {
            turn.notify_one();
            turned = Instant::now();
        }
        if rest.as_ref().is_some_and(Rest::lasts) {
            continue;
        }
        let asked = Instant::now();
        let answer = desktop.ask(ANSWER);
        match silence.hear(answer) {
            News::None => {}
            News::Silent => {
                tracing::warn!("the X server does not answer");
                desktop.set_silent(true);
            }
            News::Answers => desktop.set_silent(false),
            News::Hung => {
                if let Some(uplink) = uplink {
                    uplink.hung();
                }
            }
        }
        rest = None;
        if answer == Answer::Yes {
            sleep(SETTLES);
            rest = desktop.rest();
        } else if silence.questions > 0 {
            // One whose queue of connections is full is silent at once. And probes ask, too: one at a time.
            sleep(ANSWER.saturating_sub(asked.elapsed()).max(SETTLES));
        }
    }
}

/// Questions in a row that were not answered.
#[derive(Debug, Default)]
struct Silence {
    questions: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    None,
    Silent,
    Hung,
    Answers,
}

impl Silence {
    fn hear(&mut self, answer: Answer) -> News {
        if answer != Answer::Silent {
            return match std::mem::take(&mut self.questions) {
                0 => News::None,
                _ => News::Answers,
            };
        }
        self.questions += 1;
        match self.questions {
            1 => News::Silent,
            n if n % QUESTIONS == 0 => News::Hung,
            _ => News::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hang_is_many_questions_without_an_answer() {
        let mut silence = Silence::default();
        assert_eq!(silence.hear(Answer::Yes), News::None);
        assert_eq!(silence.hear(Answer::Silent), News::Silent);
        assert_eq!(silence.hear(Answer::Silent), News::None);
        assert_eq!(silence.hear(Answer::Yes), News::Answers);
        let heard: Vec<News> = (0..QUESTIONS)
            .map(|_| silence.hear(Answer::Silent))
            .collect();
        assert_eq!(heard.first(), Some(&News::Silent));
        assert_eq!(heard.last(), Some(&News::Hung));
        let others = heard.len() - 2;
        assert_eq!(
            heard.iter().filter(|news| **news == News::None).count(),
            others
        );
        assert_eq!(silence.hear(Answer::Gone), News::Answers);
    }
}

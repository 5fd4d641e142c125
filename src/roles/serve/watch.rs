//! Does the X server still answer? One that hangs closes no connection and sends no event: only a question shows it.
//!
//! ```text
//!           a question is not answered            QUESTIONS in a row are not
//!  Answers ────────────────────────────▶ Silent ─────────────────────────────▶ hung: `run` is told, and replaces it
//!     ▲                                    │ said in the log, the status, on the page
//!     └────────────────────────────────────┘ an answer, or the end of the server
//! ```
//!
//! Time that the whole container was frozen counts as one question at most.

use super::uplink::Uplink;
use crate::desktop::{Answer, Desktop};
use std::sync::Arc;
use std::time::Duration;

/// From an answer to the next question. With [`ANSWER`] it makes how soon a hang is noticed.
const EVERY: Duration = Duration::from_secs(2);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(2);
/// So many questions without an answer are a hang: it has had a quarter of a minute.
const QUESTIONS: u32 = 7;

/// Asks until the process ends. Without an uplink the server is somebody else's, who may stop it as he likes.
pub(super) async fn watch(desktop: Desktop, uplink: Option<Arc<Uplink>>) {
    let mut silence = Silence::default();
    loop {
        if let Some(uplink) = &uplink {
            // The event loop turns, or this would not be said.
            uplink.alive();
        }
        if silence.questions == 0 {
            tokio::time::sleep(EVERY).await;
        }
        let patience = tokio::time::Instant::now() + ANSWER;
        let asked = desktop.clone();
        // It keeps a thread, never the event loop.
        let answer = tokio::task::spawn_blocking(move || asked.ask(ANSWER)).await;
        match silence.hear(answer.unwrap_or(Answer::Gone)) {
            News::None => {}
            News::Silent => {
                tracing::warn!("the X server does not answer");
                desktop.set_silent(true);
            }
            News::Answers => desktop.set_silent(false),
            News::Hung => {
                if let Some(uplink) = &uplink {
                    uplink.hung();
                }
            }
        }
        if silence.questions > 0 {
            // One whose queue of connections is full is silent at once.
            tokio::time::sleep_until(patience).await;
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

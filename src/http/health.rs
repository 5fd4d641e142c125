//! What the probes answer: one status, and a body that says which part is missing.
//!
//! | path | 200 when |
//! |---|---|
//! | `/livez` | nothing is broken for good |
//! | `/readyz`, `/healthz` | a user who connects now sees the application |
//! | `/startupz` | it was ready once |

use serde_json::{Value, json};

/// The state of the desktop as the probes see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readiness {
    /// A user who connects now sees the application.
    pub ready: bool,
    /// What is broken for good, so that only a restart of the whole can help.
    pub broken: Option<String>,
    /// It was ready once.
    pub started: bool,
    /// One line for people about the whole ("starting: waiting for the window manager"); the page shows it.
    pub message: Option<String>,
    /// What it consists of.
    pub parts: Vec<Part>,
}

/// One part of the desktop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Short name, such as `display` or `application`.
    pub name: String,
    /// It does its work.
    pub ok: bool,
    /// What it is or what it waits for, in words.
    pub detail: String,
}

/// The three questions of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Does it need a restart?
    Live,
    /// Can it be used now?
    Ready,
    /// Has it come up?
    Startup,
}

impl Readiness {
    /// The answer when the display server itself does not answer in time: neither ready nor known to be alive.
    #[must_use]
    pub fn unanswered() -> Self {
        let detail = format!(
            "no answer within {:.1} s",
            super::limits::READINESS.as_secs_f32()
        );
        let message = "the display server does not answer";
        Self {
            message: Some(message.into()),
            broken: Some(message.into()),
            parts: vec![Part {
                name: "server".into(),
                ok: false,
                detail,
            }],
            ..Self::default()
        }
    }

    /// Does `probe` succeed?
    #[must_use]
    pub fn passes(&self, probe: Probe) -> bool {
        match probe {
            Probe::Live => self.broken.is_none(),
            Probe::Ready => self.ready,
            Probe::Startup => self.started,
        }
    }

    /// The body for `probe`. `missing` names the parts that are not there, for those who only read one line.
    #[must_use]
    pub fn body(&self, probe: Probe) -> Value {
        let missing: Vec<&str> = self
            .parts
            .iter()
            .filter(|part| !part.ok)
            .map(|part| part.name.as_str())
            .collect();
        let message = match probe {
            Probe::Live => self.broken.as_ref().or(self.message.as_ref()),
            Probe::Ready | Probe::Startup => self.message.as_ref(),
        };
        let parts: Vec<Value> = self
            .parts
            .iter()
            .map(|part| json!({ "name": part.name, "ok": part.ok, "detail": part.detail }))
            .collect();
        json!({
            "ok": self.passes(probe),
            "ready": self.ready,
            "live": self.broken.is_none(),
            "started": self.started,
            "message": message,
            "missing": missing,
            "parts": parts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_names_what_is_missing() {
        let part = |name: &str, ok| Part {
            name: name.into(),
            ok,
            detail: "because".into(),
        };
        let readiness = Readiness {
            ready: false,
            broken: None,
            started: false,
            message: Some("starting".into()),
            parts: vec![part("display", true), part("application", false)],
        };
        let body = readiness.body(Probe::Live);
        assert_eq!(body["ok"], true);
        assert_eq!(body["missing"], json!(["application"]));
        assert_eq!(body["parts"][1]["detail"], "because");
        assert_eq!(readiness.body(Probe::Ready)["ok"], false);
        assert!(!readiness.passes(Probe::Startup));
        let given_up = Readiness {
            broken: Some("given up".into()),
            ..readiness
        };
        let body = given_up.body(Probe::Live);
        assert_eq!(body["ok"], false);
        assert_eq!(body["message"], "given up");
        assert_eq!(given_up.body(Probe::Ready)["message"], "starting");
    }
}

//! The conversation about the clipboard with one client.
//!
//! Everything to be said is a flag, not a queue: however often the clipboard changes or a client asks, one answer goes
//! out when there is room for it.

use std::sync::Arc;

use super::clipboard::{self, InflateError, LIMIT, Message, flag};
use super::server;

/// What the specification assumes of a client that sends no Caps.
const ASSUMED: u32 = flag::TEXT | flag::REQUEST | flag::NOTIFY | flag::PROVIDE;
const ASSUMED_LIMIT: u32 = 20 << 20;

/// One client's side of the clipboard.
#[derive(Debug)]
pub struct Conversation {
    send: bool,
    accept: bool,
    /// The client said what it can do, or asked for a picture without saying: it is known how to speak to it.
    acquainted: bool,
    extended: bool,
    client: u32,
    client_limit: u32,
    text: Option<Arc<str>>,
    caps_due: bool,
    request_due: bool,
    offer_due: bool,
    notify_due: bool,
    provide_due: bool,
}

impl Conversation {
    /// `send`: the desktop's texts go to the client; `accept`: its texts go to the desktop.
    pub fn new(send: bool, accept: bool) -> Self {
        Self {
            send,
            accept,
            acquainted: false,
            extended: false,
            client: ASSUMED,
            client_limit: ASSUMED_LIMIT,
            text: None,
            caps_due: false,
            request_due: false,
            offer_due: false,
            notify_due: false,
            provide_due: false,
        }
    }

    /// SetEncodings came; each that lists the extended form is answered by Caps.
    pub fn listed(&mut self, extended: bool) {
        self.acquainted = true;
        self.extended = extended && (self.send || self.accept);
        self.caps_due = self.extended;
    }

    /// The client asks for pictures: if it could do more it would have said so.
    pub fn acquainted(&mut self) {
        self.acquainted = true;
    }

    /// The desktop's clipboard holds this text now. False when it is too long to be sent.
    pub fn offer(&mut self, text: &Arc<str>) -> bool {
        if !self.send || self.text.as_ref() == Some(text) {
            return true;
        }
        let fits = text.len() <= LIMIT;
        self.text = fits.then(|| Arc::clone(text));
        self.offer_due = fits;
        fits
    }

    /// The client sent text, in either form.
    pub fn received(&mut self, text: String) -> Arc<str> {
        let text: Arc<str> = text.into();
        // It comes back from the desktop as a change; the client has it already.
        self.text = Some(Arc::clone(&text));
        self.offer_due = false;
        text
    }

    /// The client sent an extended message; text when there is some for the desktop.
    pub fn message(&mut self, message: Message) -> Result<Option<Arc<str>>, InflateError> {
        match message {
            Message::Caps { flags, text } => {
                self.client = flags;
                self.client_limit = text;
            }
            Message::Request(formats) => {
                self.provide_due |= self.send && formats & flag::TEXT != 0;
            }
            Message::Peek => self.notify_due |= self.send,
            Message::Notify(formats) => {
                self.request_due = self.accept && formats & flag::TEXT != 0;
            }
            Message::Provide { formats, data } => {
                if self.accept && formats & flag::TEXT != 0 {
                    return clipboard::inflate_text(&data).map(|text| Some(self.received(text)));
                }
            }
        }
        Ok(None)
    }

    /// Writes what is due.
    pub fn write(&mut self, out: &mut Vec<u8>) {
        if !self.acquainted {
            return;
        }
        if !self.extended {
            if std::mem::take(&mut self.offer_due)
                && let Some(text) = &self.text
            {
                server::cut_text(out, &clipboard::to_latin1(text));
            }
            return;
        }
        if std::mem::take(&mut self.caps_due) {
            clipboard::write_caps(out, self.send, self.accept);
        }
        if std::mem::take(&mut self.request_due) {
            clipboard::write_request(out);
        }
        if std::mem::take(&mut self.offer_due) && self.client & flag::TEXT != 0 {
            let size = self.text.as_ref().map_or(0, |text| text.len() as u32);
            if self.client & flag::NOTIFY != 0 {
                self.notify_due = true;
            } else if self.client & flag::PROVIDE != 0 && size <= self.client_limit {
                self.provide_due = true;
            }
        }
        if std::mem::take(&mut self.notify_due) {
            clipboard::write_notify(out, self.text.is_some());
        }
        if std::mem::take(&mut self.provide_due)
            && let Some(text) = &self.text
        {
            clipboard::write_provide(out, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(c: &mut Conversation) -> Vec<u8> {
        let mut out = Vec::new();
        c.write(&mut out);
        out
    }

    #[test]
    fn the_extended_conversation() {
        let mut c = Conversation::new(true, true);
        assert!(c.offer(&"Grüße".into()));
        assert!(
            written(&mut c).is_empty(),
            "nothing before the client is known"
        );
        c.listed(true);
        let out = written(&mut c);
        assert_eq!(out[8..12], [0x1f, 0, 0, 1], "Caps come first");
        assert_eq!(out[16 + 8..], [8, 0, 0, 1], "then Notify");
        for _ in 0..1000 {
            assert_eq!(c.message(Message::Request(flag::TEXT)), Ok(None));
        }
        let out = written(&mut c);
        assert_eq!(clipboard::inflate_text(&out[12..]), Ok("Grüße".to_owned()));
        assert_eq!(c.message(Message::Notify(flag::TEXT)), Ok(None));
        assert_eq!(written(&mut c)[8..], [2, 0, 0, 1], "Request");
        let data = out[12..].to_vec();
        let formats = flag::TEXT;
        let provided = c.message(Message::Provide { formats, data });
        assert_eq!(provided, Ok(Some("Grüße".into())));
        assert!(c.offer(&"Grüße".into()));
        assert!(
            written(&mut c).is_empty(),
            "its own text is not offered to it"
        );
    }

    #[test]
    fn the_basic_conversation() {
        let mut c = Conversation::new(true, true);
        c.listed(false);
        assert!(c.offer(&"ä€".into()));
        assert_eq!(written(&mut c), [3, 0, 0, 0, 0, 0, 0, 2, 0xe4, b'?']);
        assert!(written(&mut c).is_empty());
        assert!(!c.offer(&"x".repeat(LIMIT + 1).into()));
    }

    #[test]
    fn a_closed_clipboard_is_silent() {
        let mut c = Conversation::new(false, false);
        c.listed(true);
        assert!(c.offer(&"secret".into()));
        assert_eq!(c.message(Message::Request(flag::TEXT)), Ok(None));
        assert_eq!(c.message(Message::Peek), Ok(None));
        assert_eq!(c.message(Message::Notify(flag::TEXT)), Ok(None));
        let data = Vec::new();
        assert_eq!(c.message(Message::Provide { formats: 1, data }), Ok(None));
        assert!(written(&mut c).is_empty());
    }
}

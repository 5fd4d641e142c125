//! The web port by raw bytes: limits, names, methods, origins and websocket frames as hostile peers send them.

mod websocket;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deskinit::http::{
    Backend, BoxFuture, Origins, Part, Peer, Readiness, Site, WsStream, serve_connection,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long anything may take that should happen at once.
const SOON: Duration = Duration::from_secs(5);

/// What the backend does with a websocket.
#[derive(Clone, Copy)]
enum Behaviour {
    /// Sends back what came, one flush for each read.
    Echo,
    /// Writes so many bytes, each the low byte of its position, and closes with a reason.
    Pour(usize),
}

struct Desk {
    behaviour: Behaviour,
    readiness: Readiness,
    poured: Arc<AtomicUsize>,
    /// Told how the echo ended.
    ended: Mutex<Option<oneshot::Sender<std::io::Result<()>>>>,
}

impl Backend for Desk {
    fn readiness(&self) -> BoxFuture<Readiness> {
        let readiness = self.readiness.clone();
        Box::pin(async move { readiness })
    }

    fn metrics(&self) -> String {
        "# EOF\n".into()
    }

    fn status_json(&self) -> serde_json::Value {
        serde_json::json!({ "state": "running" })
    }

    fn websocket(&self, mut stream: WsStream, _peer: Peer) {
        let behaviour = self.behaviour;
        let poured = Arc::clone(&self.poured);
        let ended = self.ended.lock().unwrap().take();
        tokio::spawn(async move {
            let result = match behaviour {
                Behaviour::Echo => echo(&mut stream).await,
                Behaviour::Pour(total) => pour(&mut stream, total, &poured).await,
            };
            let clean = result.is_ok();
            if let Some(ended) = ended {
                let _ = ended.send(result);
            }
            if clean {
                let _ = stream
                    .close(1001, "the application has ended, code 3")
                    .await;
            }
        });
    }
}

async fn echo(stream: &mut WsStream) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 || buffer[..count].starts_with(b"bye") {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
        stream.flush().await?;
    }
}

async fn pour(stream: &mut WsStream, total: usize, poured: &AtomicUsize) -> std::io::Result<()> {
    let block: Vec<u8> = (0..=255).cycle().take(64 * 1024).collect();
    for _ in 0..total / block.len() {
        stream.write_all(&block).await?;
        stream.flush().await?;
        poured.fetch_add(block.len(), Ordering::Relaxed);
    }
    Ok(())
}

/// A listening site.
struct Served {
    address: SocketAddr,
    poured: Arc<AtomicUsize>,
    ended: oneshot::Receiver<std::io::Result<()>>,
}

async fn serve(behaviour: Behaviour, adapt: impl FnOnce(&mut Site)) -> Served {
    let (sender, ended) = oneshot::channel();
    let poured = Arc::new(AtomicUsize::new(0));
    let parts = vec![Part {
        name: "application".into(),
        ok: false,
        detail: "no window yet".into(),
    }];
    let readiness = Readiness {
        ready: false,
        broken: None,
        started: true,
        message: Some("starting".into()),
        parts,
    };
    let desk = Desk {
        behaviour,
        readiness,
        poured: Arc::clone(&poured),
        ended: Mutex::new(Some(sender)),
    };
    let mut site = Site::new(Arc::new(desk));
    adapt(&mut site);
    let site = Arc::new(site);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, peer)) = listener.accept().await {
            let peer = Peer {
                address: Some(peer),
                tls: false,
            };
            tokio::spawn(serve_connection(socket, peer, Arc::clone(&site)));
        }
    });
    Served {
        address,
        poured,
        ended,
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Sends bytes and returns all that comes until the server closes.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = connect(address).await;
    // The server may close before it has read everything.
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(SOON, socket.read_to_end(&mut answer))
        .await
        .expect("the server does not close");
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(method: &str, target: &str, headers: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: desk:5800\r\nConnection: close\r\n{headers}\r\n")
        .into_bytes()
}

/// The status code of an answer, 0 if there is none.
fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0)
}

#[tokio::test]
async fn only_names_of_the_page_are_served() {
    let served = serve(Behaviour::Echo, |_| {}).await;
    for (target, expected) in [
        ("/", 200),
        ("/index.html", 200),
        ("/vnc.html?autoconnect=1", 200),
        ("/app.js", 200),
        ("/licences.txt", 200),
        ("/mandatory.json", 200),
        ("/metrics", 200),
        ("/api/status", 200),
        ("/livez", 200),
        ("/startupz", 200),
        ("/readyz", 503),
        ("/healthz", 503),
        ("/websockify", 426),
        ("//evil/..", 404),
        ("//evil.org/%2f..", 404),
        ("/%2e%2e/", 404),
        ("/../../etc/passwd", 404),
        ("/..%2f..%2fetc/passwd", 404),
        ("/core/", 404),
        ("/app.js/", 404),
        ("/app.js%00.html", 404),
        ("/.deskinit-lock.json", 404),
        ("http://evil.org/etc/passwd", 404),
    ] {
        let answer = exchange(served.address, &request("GET", target, "")).await;
        assert_eq!(status(&answer), expected, "{target}: {answer}");
        let head = answer.to_lowercase();
        assert!(!head.contains("\r\nlocation:"), "{target} redirects");
        assert!(head.contains("x-content-type-options: nosniff"), "{target}");
        assert!(head.contains("referrer-policy: no-referrer"), "{target}");
    }
    let answer = exchange(served.address, &request("GET", "/readyz", "")).await;
    assert!(
        answer.contains(r#""missing":["application"]"#) && answer.contains("no window yet"),
        "{answer}"
    );
    let page = exchange(served.address, &request("GET", "/", "")).await;
    assert!(
        page.contains("content-security-policy: default-src 'none'; script-src 'self'"),
        "{page}"
    );
}

#[tokio::test]
async fn only_get_and_head_are_answered() {
    let served = serve(Behaviour::Echo, |_| {}).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"] {
        let answer = exchange(
            served.address,
            &request(method, "/", "Content-Length: 0\r\n"),
        )
        .await;
        assert_eq!(status(&answer), 405, "{method}: {answer}");
        assert!(answer.contains("allow: GET, HEAD"));
    }
    let head = exchange(
        served.address,
        &request("HEAD", "/app.js", "Accept-Encoding: gzip\r\n"),
    )
    .await;
    assert_eq!(status(&head), 200);
    assert!(
        head.ends_with("\r\n\r\n") && head.contains("content-encoding: gzip"),
        "{head}"
    );
    // A body of two gigabytes that is announced is not waited for.
    let answer = exchange(
        served.address,
        &request("POST", "/", "Content-Length: 2147483648\r\n"),
    )
    .await;
    assert_eq!(status(&answer), 405);
}

#[tokio::test]
async fn heads_have_limits() {
    let served = serve(Behaviour::Echo, |_| {}).await;
    let many = |count: usize| {
        (0..count)
            .map(|n| format!("X-{n}: y\r\n"))
            .collect::<String>()
    };
    // Host and Connection count too.
    assert_eq!(
        status(&exchange(served.address, &request("GET", "/livez", &many(62))).await),
        200
    );
    assert_eq!(
        status(&exchange(served.address, &request("GET", "/livez", &many(63))).await),
        431
    );
    let long = |bytes: usize| format!("X: {}\r\n", "y".repeat(bytes));
    assert_eq!(
        status(&exchange(served.address, &request("GET", "/livez", &long(7000))).await),
        200
    );
    assert_eq!(
        status(&exchange(served.address, &request("GET", "/livez", &long(9000))).await),
        431
    );
    let target = format!("/{}", "a".repeat(100_000));
    assert!(matches!(
        status(&exchange(served.address, &request("GET", &target, "")).await),
        0 | 414 | 431
    ));
}

#[tokio::test]
async fn garbage_ends_one_connection_only() {
    let served = serve(Behaviour::Echo, |_| {}).await;
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a client hello"[..],
        b"RFB 003.008\n\0\0\0\0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost desk\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: desk\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        &[0xff; 20_000],
    ] {
        let answer = exchange(served.address, garbage).await;
        assert!(
            matches!(status(&answer), 0 | 400 | 431 | 505),
            "{:?}: {answer}",
            String::from_utf8_lossy(garbage)
        );
    }
    assert_eq!(
        status(&exchange(served.address, &request("GET", "/livez", "")).await),
        200
    );
}

#[tokio::test]
async fn a_head_that_drips_is_cut() {
    let served = serve(Behaviour::Echo, |_| {}).await;
    let start = Instant::now();
    let (mut reader, mut writer) = connect(served.address).await.into_split();
    let drip = tokio::spawn(async move {
        for byte in b"GET / HTTP/1.1\r\nHost: desk\r\nX: "
            .iter()
            .chain(std::iter::repeat(&b'y'))
        {
            if writer.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    });
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(14), reader.read_to_end(&mut answer))
        .await
        .expect("the drip goes on");
    let took = start.elapsed();
    assert!(took > Duration::from_secs(8), "{took:?}");
    drip.abort();
}

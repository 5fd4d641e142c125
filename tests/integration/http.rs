//! The web port by raw bytes: limits, names, methods, origins and websocket frames as hostile peers send them.

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
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

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
        live: true,
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

/// A connection that has become a websocket; `headers` are added to the request.
async fn websocket(address: SocketAddr, headers: &str) -> Result<TcpStream, u16> {
    let mut socket = connect(address).await;
    let head = format!(
        "GET /websockify HTTP/1.1\r\nHost: desk:5800\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\n{KEY}{headers}\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let byte = timeout(SOON, socket.read_u8())
            .await
            .expect("no answer")
            .expect("no answer");
        answer.push(byte);
    }
    let answer = String::from_utf8(answer).unwrap();
    if status(&answer) == 101 {
        assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        let asked = headers.contains("binary");
        assert_eq!(
            answer
                .to_lowercase()
                .contains("sec-websocket-protocol: binary"),
            asked
        );
        Ok(socket)
    } else {
        Err(status(&answer))
    }
}

/// A masked frame as browsers send it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [1, 2, 3, 4];
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | short as u8),
        middle @ 126..65536 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

/// The next frame from the server: its first byte and its payload. `None` when the server has closed.
async fn receive(socket: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let read = async {
        let first = socket.read_u8().await?;
        let length = match socket.read_u8().await? {
            126 => u64::from(socket.read_u16().await?),
            127 => socket.read_u64().await?,
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        socket.read_exact(&mut payload).await?;
        Ok::<_, std::io::Error>((first, payload))
    };
    timeout(SOON, read).await.expect("no frame").ok()
}

/// Code and reason of the close frame that must come next.
async fn close_frame(socket: &mut TcpStream) -> (u16, String) {
    let (first, payload) = receive(socket).await.expect("no close frame");
    assert_eq!(first, 0x88, "{payload:?}");
    (
        u16::from_be_bytes([payload[0], payload[1]]),
        String::from_utf8(payload[2..].to_vec()).unwrap(),
    )
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

#[tokio::test]
async fn websockets_open_for_their_own_page() {
    let served = serve(Behaviour::Echo, |site| {
        site.allowed_origins = Origins::parse(&["https://portal.example.org"]).unwrap();
    })
    .await;
    for (headers, expected) in [
        ("", 101),
        ("Sec-WebSocket-Protocol: binary\r\n", 101),
        ("Origin: http://desk:5800\r\n", 101),
        ("Origin: HTTP://DESK:5800\r\n", 101),
        ("Origin: https://portal.example.org\r\n", 101),
        ("Origin: null\r\n", 403),
        ("Origin: http://desk\r\n", 403),
        ("Origin: http://desk:5801\r\n", 403),
        ("Origin: http://desk:5800.evil.org\r\n", 403),
        ("Origin: https://portal.example.org.evil.org\r\n", 403),
        ("Origin: http://portal.example.org\r\n", 403),
        (
            "Origin: http://desk:5800\r\nOrigin: http://evil.org\r\n",
            403,
        ),
        ("Sec-WebSocket-Version: 8\r\n", 101), // The first of the two counts.
    ] {
        let status = websocket(served.address, headers)
            .await
            .map_or_else(|code| code, |_| 101);
        assert_eq!(status, expected, "{headers}");
    }
    // `/` is as good as `/websockify`; HEAD, POST and other versions are not.
    let upgrade = format!("Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n{KEY}");
    for (method, target, extra, expected) in [
        ("HEAD", "/", upgrade.as_str(), 400),
        ("POST", "/", upgrade.as_str(), 405),
        (
            "GET",
            "/",
            "Upgrade: websocket\r\nSec-WebSocket-Version: 12\r\n",
            426,
        ),
        (
            "GET",
            "/",
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n",
            400,
        ),
        ("GET", "/app.js", upgrade.as_str(), 200),
    ] {
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: desk\r\nConnection: upgrade, close\r\n{extra}\r\n"
        );
        let answer = exchange(served.address, head.as_bytes()).await;
        assert_eq!(status(&answer), expected, "{method} {target}: {answer}");
    }
    let mut socket = connect(served.address).await;
    let head = format!("GET / HTTP/1.1\r\nHost: desk\r\nConnection: Upgrade\r\n{upgrade}\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    timeout(SOON, socket.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
}

#[tokio::test]
async fn messages_come_back_however_they_are_cut() {
    let served = serve(Behaviour::Echo, |_| {}).await;
    let mut socket = websocket(served.address, "").await.unwrap();
    // Three fragments with a ping between them, dripped a byte at a time.
    let mut bytes = frame(0x02, b"one ");
    bytes.extend(frame(0x00, b"two "));
    bytes.extend(frame(0x89, b"?"));
    bytes.extend(frame(0x80, b"three"));
    for byte in bytes {
        socket.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(receive(&mut socket).await.unwrap(), (0x8a, b"?".to_vec()));
    assert_eq!(
        receive(&mut socket).await.unwrap(),
        (0x82, b"one two three".to_vec())
    );
    // An empty message is nothing.
    socket.write_all(&frame(0x82, b"")).await.unwrap();
    socket.write_all(&frame(0x82, b"after")).await.unwrap();
    assert_eq!(
        receive(&mut socket).await.unwrap(),
        (0x82, b"after".to_vec())
    );
    // The largest message that is taken.
    let large = vec![7; 1024 * 1024];
    let (mut reader, mut writer) = socket.into_split();
    let sent = frame(0x82, &large);
    let send = tokio::spawn(async move { writer.write_all(&sent).await.map(|()| writer) });
    let mut total = 0;
    while total < large.len() {
        let mut head = [0; 2];
        timeout(SOON, reader.read_exact(&mut head))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(head[0], 0x82);
        let length = match head[1] {
            126 => usize::from(reader.read_u16().await.unwrap()),
            127 => usize::try_from(reader.read_u64().await.unwrap()).unwrap(),
            short => usize::from(short),
        };
        let mut part = vec![0; length];
        timeout(SOON, reader.read_exact(&mut part))
            .await
            .unwrap()
            .unwrap();
        total += length;
    }
    assert_eq!(total, large.len());
    drop(send.await.unwrap().unwrap());
}

#[tokio::test]
async fn both_sides_close_with_a_reason() {
    let served = serve(Behaviour::Echo, |_| {}).await;
    let mut socket = websocket(served.address, "").await.unwrap();
    socket.write_all(&frame(0x82, b"bye")).await.unwrap();
    assert_eq!(
        close_frame(&mut socket).await,
        (1001, "the application has ended, code 3".into())
    );
    socket
        .write_all(&frame(0x88, &1001u16.to_be_bytes()))
        .await
        .unwrap();
    assert_eq!(receive(&mut socket).await, None);

    let served = serve(Behaviour::Echo, |_| {}).await;
    let mut socket = websocket(served.address, "").await.unwrap();
    socket
        .write_all(&frame(0x88, &1000u16.to_be_bytes()))
        .await
        .unwrap();
    assert_eq!(close_frame(&mut socket).await.0, 1000);
    assert!(timeout(SOON, served.ended).await.unwrap().unwrap().is_ok());
}

#[tokio::test]
async fn broken_rules_end_the_websocket() {
    let huge = |length: u64| [&[0x82, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
    let unfinished = [
        frame(0x02, &vec![0; 600 * 1024]),
        frame(0x00, &vec![0; 600 * 1024]),
    ]
    .concat();
    for (name, bytes, code) in [
        ("text", frame(0x81, b"hello"), 1003),
        ("unmasked", vec![0x82, 0x01, 0x00], 1002),
        ("2^63 bytes", huge(1 << 63), 1009),
        ("2^64 - 1 bytes", huge(u64::MAX), 1009),
        ("1 MiB + 1", huge(1024 * 1024 + 1), 1009),
        ("fragments of 1.2 MiB", unfinished, 1009),
        ("reserved bits", frame(0xf2, b"x"), 1002),
        ("unknown kind", frame(0x83, b"x"), 1002),
        ("continues nothing", frame(0x80, b"x"), 1002),
        ("ping in fragments", frame(0x09, b"x"), 1002),
        ("ping too long", frame(0x89, &[0; 126]), 1002),
    ] {
        let served = serve(Behaviour::Echo, |_| {}).await;
        let (reader, mut writer) = websocket(served.address, "").await.unwrap().into_split();
        let sending = tokio::spawn(async move {
            let _ = writer.write_all(&bytes).await;
            writer
        });
        let ended = timeout(SOON, served.ended).await.unwrap().unwrap();
        assert_eq!(
            ended.unwrap_err().kind(),
            std::io::ErrorKind::InvalidData,
            "{name}"
        );
        let mut socket = reader.reunite(sending.await.unwrap()).unwrap();
        // Bytes that the server did not read any more may reset the connection before the frame is seen.
        if let Some((first, payload)) = receive(&mut socket).await {
            assert_eq!(
                (first, u16::from_be_bytes([payload[0], payload[1]])),
                (0x88, code),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn a_slow_reader_makes_the_writer_wait() {
    const TOTAL: usize = 32 * 1024 * 1024;
    let served = serve(Behaviour::Pour(TOTAL), |_| {}).await;
    let mut socket = websocket(served.address, "").await.unwrap();
    // Nothing is read until the server has come to a halt.
    let mut before = usize::MAX;
    let deadline = Instant::now() + SOON;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = served.poured.load(Ordering::Relaxed);
        if now == before && now > 0 {
            break;
        }
        before = now;
        assert!(Instant::now() < deadline, "the writer never waits");
    }
    // What the kernel's socket buffers hold, and our own: far from everything.
    assert!(before < TOTAL / 2, "{before} bytes went into buffers");
    let mut total = 0;
    loop {
        match receive(&mut socket).await.unwrap() {
            (0x82, payload) => {
                assert!(
                    payload
                        .iter()
                        .enumerate()
                        .all(|(at, byte)| *byte == (total + at) as u8)
                );
                total += payload.len();
            }
            (0x88, payload) => {
                assert_eq!(&payload[2..], b"the application has ended, code 3");
                break;
            }
            other => panic!("unexpected frame {:#x}", other.0),
        }
    }
    assert_eq!(total, TOTAL);
}

#[tokio::test]
async fn silent_peers_are_pinged_and_then_dropped() {
    let served = serve(Behaviour::Echo, |site| {
        site.heartbeat = Duration::from_millis(300)
    })
    .await;
    let mut socket = websocket(served.address, "").await.unwrap();
    let start = Instant::now();
    // Answered pings keep it open for as long as one likes.
    for _ in 0..5 {
        assert_eq!(receive(&mut socket).await.unwrap().0, 0x89);
        socket.write_all(&frame(0x8a, b"")).await.unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(1400));
    // Unanswered ones do not.
    let ended = timeout(SOON, served.ended).await.unwrap().unwrap();
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
}

//! Websockets by raw bytes: who may open one, how messages are cut, which rules end one, and who waits for whom.

use super::*;

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

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

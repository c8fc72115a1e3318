//! What people do with the pages, each in a browser of their own.

use sentiment_sidecar::alert::AlertId;
use sentiment_sidecar::alert::verdict::Verdict;
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::browser::{Browser, ENTER};
use super::furniture::furnish;
use super::{Pages, TOKEN};
use crate::support::{Room, SEED_TURNS, soon};

/// Starts a browser, or ends the test where there is none.
macro_rules! browser {
    () => {
        match Browser::start().await {
            Some(browser) => browser,
            None => return,
        }
    };
}

#[tokio::test]
async fn the_board_moves_while_a_call_goes_on() {
    let browser = browser!();
    let mut pages = Pages::start().await;
    browser.go(&pages.url).await;
    browser.log_in(TOKEN).await;
    browser.says("All quiet: there is no call.").await;
    browser.run("window.loaded = 'once'").await;

    let room = Room::start().await;
    let mut running = pages.program.attach(&room, json!({"sentimentRaterDeadlineMs": 30_000}));
    let (mut connection, _) = room.accept().await;
    connection.welcome(&[], false).await;
    browser.says("not rated yet").await;
    for (n, text) in SEED_TURNS.iter().enumerate() {
        connection.turn(n as u64 + 1, n, text).await;
        browser.says(text).await;
    }
    running.event("escalation").await;
    browser.says("1 call needs somebody.").await;
    assert!(browser.has("#calls li.bad svg polyline").await && browser.has("#calls li.bad svg line").await);
    // Whoever is at a call by keyboard stays there when it moves.
    browser.run("document.querySelector('#calls a').focus()").await;
    connection.turn(9, 8, "Oh wonderful, thank you so much, that is great!").await;
    browser.says("has calmed down").await;
    assert_eq!(browser.run("return document.activeElement.closest('li') !== null").await, json!(true));
    connection.end(10).await;
    browser.says("All quiet: there is no call.").await;
    assert_eq!(browser.run("return document.querySelectorAll('#calls li').length").await, json!(0));
    assert_eq!(running.exit().await, Some(0));
    assert_eq!(browser.run("return window.loaded").await, json!("once"), "nobody loaded the page again");

    pages.child.kill().await.unwrap();
    browser.says("This stands still").await;
}

/// A proxy before the pages, which can lose all connections and answer 502 from then on.
struct Proxy {
    url: String,
    away: watch::Sender<bool>,
}

impl Proxy {
    async fn before(pages: &Pages) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let behind = pages.url.trim_start_matches("http://").to_owned();
        let (away, mut is_away) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                if *is_away.borrow_and_update() {
                    let answer = b"HTTP/1.1 502 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    stream.write_all(answer).await.ok();
                    stream.shutdown().await.ok();
                    continue;
                }
                let (behind, mut cut) = (behind.clone(), is_away.clone());
                tokio::spawn(async move {
                    let mut other = TcpStream::connect(behind).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut stream, &mut other) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { url, away }
    }
}

#[tokio::test]
async fn a_board_that_is_refused_says_so_and_moves_again_by_itself() {
    let browser = browser!();
    let pages = Pages::start().await;
    let proxy = Proxy::before(&pages).await;
    browser.go(&proxy.url).await;
    browser.log_in(TOKEN).await;
    browser.says("All quiet: there is no call.").await;
    browser.run("window.loaded = 'once'").await;
    proxy.away.send(true).unwrap();
    browser.says("you have to log in, or it is over").await;
    proxy.away.send(false).unwrap();
    browser.until("that it moves", "document.getElementById('still').hidden").await;
    assert_eq!(browser.run("return window.loaded").await, json!("once"), "nobody loaded the page again");
}

#[tokio::test]
async fn the_page_of_a_call_moves_while_it_goes_on() {
    let browser = browser!();
    let pages = Pages::start().await;
    let room = Room::start().await;
    let mut running = pages.program.attach(&room, json!({"sentimentRaterDeadlineMs": 30_000}));
    let (mut connection, _) = room.accept().await;
    connection.welcome(&[], false).await;
    browser.go(&pages.url).await;
    browser.log_in(TOKEN).await;
    browser.says("not rated yet").await;
    let link = call_of_no_alert(&pages).await;
    browser.go(&format!("{}{link}", pages.url)).await;
    browser.says("Nothing yet.").await;
    browser.run("window.loaded = 'once'").await;
    // Whoever has reached something by keyboard stays there when it moves.
    browser.run("document.querySelector('.caption a').focus()").await;
    for (n, text) in SEED_TURNS.iter().enumerate() {
        connection.turn(n as u64 + 1, n, text).await;
        browser.says(text).await;
        browser.says(&format!("{} of the caller", n + 1)).await;
    }
    let alert = running.event("escalation").await["alert_id"].as_str().unwrap().to_owned();
    browser.until("what it needs", "document.querySelector('#says.bad')?.innerText === 'needs somebody now'").await;
    browser.says(": flagged").await;
    assert!(browser.has("svg.chart polyline").await && browser.has(&format!("#standing a[href$='{alert}']")).await);
    assert_eq!(browser.run("return document.activeElement.innerText").await, json!("Look again"));
    browser.run("document.querySelector('#standing a').focus()").await;
    connection.turn(9, 8, "Oh wonderful, thank you so much, that is great!").await;
    browser
        .until("that the caller calms down", "document.getElementById('says').innerText === 'has calmed down'")
        .await;
    assert_eq!(
        browser.run("return document.activeElement.getAttribute('href')").await,
        json!(format!("/alerts/{alert}"))
    );
    connection.end(10).await;
    browser.says("The call is over: this is how it stood last.").await;
    browser.says("has calmed down").await;
    assert_eq!(running.exit().await, Some(0));
    assert_eq!(browser.run("return window.loaded").await, json!("once"), "nobody loaded the page again");
}

#[tokio::test]
async fn a_supervisor_comes_by_the_alerts_link_sees_why_takes_it_and_judges_it_and_another_sees_that() {
    let (dana, sam) = (browser!(), browser!());
    let pages = Pages::start().await;
    let link = format!("{}/alerts/{}", pages.url, pages.id);
    for (browser, token) in [(&dana, TOKEN), (&sam, "of-sam")] {
        browser.go(&link).await;
        browser.says("Log in").await;
        browser.log_in(token).await;
        browser.says("I take it").await;
    }
    assert_eq!(dana.run("return location.href").await, json!(link));
    // Why, who and what was said last, within one screen.
    dana.looks_as(1280, 800, false).await;
    for selector in ["h1", ".severity", "button.main", ".chart", ".turns li"] {
        let bottom = format!("return document.querySelector({}).getBoundingClientRect().bottom", json!(selector));
        let bottom = dana.run(&bottom).await.as_f64().unwrap();
        let height = dana.run("return innerHeight").await.as_f64().unwrap();
        assert!(bottom <= height, "{selector} ends at {bottom} of {height}");
    }
    // By keyboard.
    dana.type_into("button.main", ENTER).await;
    dana.says("You look after this caller.").await;
    sam.click("button", "I take it").await;
    sam.says("supervisor looks after this caller.").await;
    assert!(!sam.has("button.main").await);

    dana.click("label", "Yes, and earlier").await;
    dana.type_into("#note", "asked twice <b>before</b>").await;
    dana.click("button", "Save").await;
    dana.says("supervisor says late").await;
    sam.go(&link).await;
    sam.says("supervisor says late").await;
    assert_eq!(sam.run("return document.getElementById('note').value").await, json!("asked twice <b>before</b>"));
    assert!(!sam.has("b").await);
}

#[tokio::test]
async fn qa_searches_sends_again_judges_and_exports_labels() {
    let browser = browser!();
    let pages = Pages::start().await;
    let (kept, _calls) = furnish(&pages).await;
    browser.go(&format!("{}/alerts", pages.url)).await;
    browser.log_in(TOKEN).await;
    browser.click("summary", "Search").await;
    browser.click("select[name=severity] option", "critical").await;
    browser.click("button", "Search").await;
    browser.until("the critical ones", "document.querySelectorAll('.alerts li').length === 1").await;
    assert!(browser.has(".alerts li.critical").await);
    browser.go(&format!("{}/alerts", pages.url)).await;
    browser.click(".rates a", "").await;
    browser.until("what is undelivered", "location.search.includes('undelivered=true')").await;
    browser.click(".alerts a", "<script>").await;
    browser.click("button", "Send again").await;
    browser.says("delivered (204)").await;
    assert!(!browser.has("form[action$='/resend']").await, "all have it");
    browser.click("label", "No").await;
    browser.click("button", "Save").await;
    browser.says("supervisor says wrong").await;
    let said = pages.store().await.verdict(&AlertId::from(pages.id.clone())).await.unwrap().unwrap();
    assert_eq!(said.verdict, Verdict::Wrong);
    // What was judged is what is tuned by: of the call whose transcript was kept, the first of its three low turns.
    browser.go(&format!("{}/alerts/{kept}", pages.url)).await;
    browser.click_drawn("svg.chart a:has(.asks)").await;
    let asks = "document.querySelector(':target')?.innerText.includes('Get me a human, now.')";
    browser.until("the turn that asks for a human", asks).await;
    browser.click("label", "Yes, and earlier").await;
    browser.click("button", "Save").await;
    browser.says("supervisor says late").await;
    let labels = pages.program.folder.path().join("labels");
    let export = pages.program.command(&["alerts", "export", "--labels", labels.to_str().unwrap()]).output();
    let output = soon("the labels", export).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("1 call written"), "{said}");
    let files: Vec<_> = std::fs::read_dir(&labels).unwrap().map(|file| file.unwrap().path()).collect();
    let label = std::fs::read_to_string(&files[0]).unwrap();
    let expected: Value = serde_json::from_str(label.lines().last().unwrap()).unwrap();
    assert_eq!((&expected["type"], &expected["escalate_at_turn"]), (&json!("expect"), &json!(2)), "{label}");
    let evaluate = pages.program.command(&["evaluate", files[0].to_str().unwrap()]).output();
    let output = soon("the evaluation", evaluate).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn nothing_gets_in_that_should_not() {
    let browser = browser!();
    let pages = Pages::start().await;
    let link = format!("{}/alerts/{}", pages.url, pages.id);
    browser.go(&link).await;
    browser.log_in("a-guess").await;
    browser.says("Nobody has this token.").await;
    // Who may change things has something to lose.
    browser.log_in(TOKEN).await;
    browser.says("I take it").await;
    browser.says("Caller angry").await;
    // What a caller says is shown, and does nothing.
    browser.says("<script>alert(1)</script>").await;
    assert!(!browser.has("main script").await);
    // Somebody else's page sends a form of its own, with the cookie that the browser has.
    browser.run("document.cookie = 'sidecar_review=; Path=/; Max-Age=0'").await;
    assert_eq!(browser.run("return document.cookie").await, json!(""), "no script sees the cookie");
    let evil = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let form = format!(
        "<form method=post action='{link}/verdict'><input name=verdict value=wrong></form><script>document.forms[0].submit()</script>"
    );
    // The same machine by another name is another site.
    let elsewhere = format!("http://localhost:{}/", evil.local_addr().unwrap().port());
    let serve = async {
        loop {
            let (mut stream, _) = evil.accept().await.unwrap();
            let answer = format!(
                "HTTP/1.1 200 x\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{form}",
                form.len()
            );
            stream.write_all(answer.as_bytes()).await.ok();
            stream.shutdown().await.ok();
        }
    };
    tokio::select! {
        () = serve => {}
        () = async {
            browser.go(&elsewhere).await;
            browser.until("the answer to the form", &format!("location.href.startsWith({})", json!(pages.url))).await;
        } => {}
    }
    assert!(pages.store().await.verdict(&AlertId::from(pages.id.clone())).await.unwrap().is_none());
    // A cookie that has run out, or was made up, is none.
    browser.go(&pages.url).await;
    browser.only_cookie("sidecar_review", "c3VwZXJ2aXNvcg.supervisor.1.AAAA").await;
    browser.go(&link).await;
    browser.says("Log in").await;
    assert!(!browser.run("return document.body.innerText").await.as_str().unwrap().contains("Caller angry"));
}

/// The page of a call in progress that has not escalated, as the board has it.
async fn call_of_no_alert(pages: &Pages) -> String {
    let (cookie, ..) = pages.log_in(TOKEN, "/").await.unwrap();
    let (_, board) = pages.get("/", &cookie).await;
    let (_, rest) = board.split_once("href=\"/calls/").expect("a call that leads to its own page");
    format!("/calls/{}", rest.split('"').next().unwrap())
}

#[tokio::test]
async fn a_call_that_has_not_escalated_leads_to_its_own_page() {
    let browser = browser!();
    let pages = Pages::start().await;
    let _calls = furnish(&pages).await;
    browser.go(&pages.url).await;
    browser.log_in(TOKEN).await;
    browser.click("#calls a", "+14155550173").await;
    browser.says("one more low turn escalates").await;
    browser.says("No, that is not what I asked.").await;
    browser.says("2 in a row of the 3 that escalate").await;
    assert!(browser.has("svg.chart polyline").await);
    browser.click("a", "Look again").await;
    browser.says("So the call stood at").await;
    browser.click("a", "all calls").await;
    browser.says("Calls in progress").await;
}

#[tokio::test]
async fn no_page_keeps_anybody_out_and_all_fit_phone_and_screen_in_light_and_dark() {
    let browser = browser!();
    let pages = Pages::start().await;
    let (shown, _calls) = furnish(&pages).await;
    browser.go(&format!("{}/login", pages.url)).await;
    let log_in = (format!("{}/login", pages.url), "login");
    let mut all = vec![log_in];
    for (path, name) in [
        ("/".to_owned(), "board"),
        ("/?q=nobody".to_owned(), "board-empty"),
        ("/alerts".to_owned(), "alerts"),
        ("/alerts?severity=critical".to_owned(), "alerts-searched"),
        (format!("/alerts/{shown}"), "alert"),
        ("/alerts/nothing".to_owned(), "problem"),
        (call_of_no_alert(&pages).await, "call"),
    ] {
        all.push((format!("{}{path}", pages.url), name));
    }
    for (at, (url, name)) in all.iter().enumerate() {
        if at == 1 {
            browser.go(&pages.url).await;
            browser.log_in(TOKEN).await;
            browser.says("Calls in progress").await;
        }
        for (width, height) in [(390, 844), (1280, 800)] {
            for dark in [false, true] {
                browser.looks_as(width, height, dark).await;
                browser.go(url).await;
                let light = if dark { "dark" } else { "light" };
                browser.picture(&format!("{name}-{width}-{light}")).await;
                let wide = browser.run("return document.documentElement.scrollWidth").await.as_u64().unwrap();
                assert!(wide <= u64::from(width), "{name} is {wide} wide on {width}");
                // What colours are like is another thing on each, what a page is made of is not.
                if dark || width == 390 {
                    assert_eq!(browser.barriers().await, json!([]), "{name} at {width}, {light}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_page_of_tune_keeps_nobody_out() {
    let browser = browser!();
    let program = crate::support::Program::new();
    let page = program.folder.path().join("tune.html").display().to_string();
    let fixture = |name: &str| format!("{}/fixtures/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let (one, other) = (fixture("seed-call"), fixture("calm-bad-facts"));
    let output = program.command(&["tune", &one, &other, "--html", &page]).output();
    let output = soon("tune", output).await.unwrap();
    assert!(std::path::Path::new(&page).exists(), "{}", String::from_utf8_lossy(&output.stdout));
    for (width, dark) in [(390, false), (390, true), (1280, false), (1280, true)] {
        browser.looks_as(width, 844, dark).await;
        browser.go(&format!("file://{page}")).await;
        browser.picture(&format!("tune-{width}-{}", if dark { "dark" } else { "light" })).await;
        assert_eq!(browser.barriers().await, json!([]), "at {width}, dark: {dark}");
    }
}

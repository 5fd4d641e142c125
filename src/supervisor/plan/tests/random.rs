//! Random events, with the world's invariants checked after each.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    Ready(usize),
    Exit(usize, Exit),
    Leave(usize),
    Cleared(usize),
    Obey(usize),
    Obstacle(usize, bool),
    Viewers(u32),
    Strays(usize),
    Windows(u32),
    Deaf(bool),
    Order(usize, Order),
    Stop(i32),
}

fn event() -> impl Strategy<Value = Event> {
    let exit = prop_oneof![
        (0..=255_u8).prop_map(Exit::Code),
        (1..32).prop_map(Exit::Signal)
    ];
    prop_oneof![
        6 => (0..6000_u64).prop_map(Event::Pass),
        2 => (30_000..90_000_u64).prop_map(Event::Pass),
        12 => (0..4_usize).prop_map(Event::Ready),
        5 => ((0..4_usize), exit).prop_map(|(id, exit)| Event::Exit(id, exit)),
        3 => (0..4_usize).prop_map(Event::Obey),
        2 => (0..4_usize).prop_map(Event::Leave),
        1 => (0..4_usize).prop_map(Event::Cleared),
        2 => ((0..4_usize), any::<bool>()).prop_map(|(id, hopeless)| Event::Obstacle(id, hopeless)),
        1 => (0..3_u32).prop_map(Event::Viewers),
        1 => (0..3_usize).prop_map(Event::Strays),
        3 => (0..3_u32).prop_map(Event::Windows),
        1 => any::<bool>().prop_map(Event::Deaf),
        3 => ((0..4_usize), prop_oneof![Just(Order::Start), Just(Order::Stop), Just(Order::Restart)])
            .prop_map(|(id, order)| Event::Order(id, order)),
        1 => prop_oneof![Just(SIGTERM), Just(2)].prop_map(Event::Stop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Whatever happens: nothing runs twice, nothing starts too early, nobody is signalled in vain, the loop never
    /// spins, and a stop always ends within the grace period.
    #[test]
    fn random_events_break_nothing(
        keep in any::<bool>(),
        limit in prop_oneof![Just(None), Just(Some(Duration::from_secs(20)))],
        freeze in prop_oneof![Just(None), Just(Some(Duration::from_secs(3)))],
        start_on_connect in any::<bool>(),
        events in prop::collection::vec(event(), 1..80),
    ) {
        let mut world = World::alone(keep, limit, Alone { freeze, start_on_connect });
        let mut cause: Option<Cause> = None;
        for event in events {
            match event {
                Event::Pass(milliseconds) => world.advance(Duration::from_millis(milliseconds)),
                Event::Ready(id) => world.make_ready(Id(id)),
                Event::Exit(id, exit) => world.exit(Id(id), exit),
                Event::Leave(id) => world.exit_leaving(Id(id), Exit::Code(1)),
                Event::Cleared(id) => world.cleared(Id(id)),
                Event::Obey(id) => {
                    if let Some(Some(push)) = world.running.get(&Id(id)) {
                        let signal = if *push == Push::Kill { SIGKILL } else { SIGTERM };
                        world.exit(Id(id), Exit::Signal(signal));
                    }
                }
                Event::Obstacle(id, hopeless) => {
                    let hopeless = hopeless.then_some(127);
                    world.obstacles.insert(Id(id), NotStarted { hopeless, reason: "obstacle".to_owned() });
                }
                Event::Viewers(viewers) => world.plan.set_viewers(viewers, world.now),
                Event::Strays(count) => world.set_strays(count),
                Event::Windows(count) => world.set_windows(count),
                Event::Deaf(deaf) => world.windows.deaf = deaf,
                Event::Order(id, order) => {
                    let id = Id(id);
                    let stopping = world.plan.stopping().is_some();
                    // Else it is given up anew, at once.
                    world.obstacles.remove(&id);
                    world.order(id, order);
                    let state = world.plan.service(id).map(Service::state);
                    let kept_down = matches!(state, Some(State::Stopped | State::Ended(_) | State::Fatal));
                    prop_assert!(stopping || order == Order::Stop || !kept_down || world.plan.stopping().is_some());
                }
                Event::Stop(signal) => {
                    world.plan.request_stop(signal, world.now);
                    world.settle();
                }
            }
            // A cause may become the application's answer, and is otherwise for good.
            if let Some(before) = &cause {
                let after = world.plan.stopping();
                let answered = matches!(after, Some(Cause::Ended { .. }));
                prop_assert!(after == Some(before) || answered);
            }
            cause = world.plan.stopping().cloned();
        }
        let start = world.now;
        world.plan.request_stop(SIGTERM, world.now);
        world.settle();
        let outcome = world.run_down();
        prop_assert!(world.now - start <= GRACE + AFTER_KILL * 2);
        prop_assert!(world.running.values().all(|push| *push == Some(Push::Kill)), "who is left is hopeless");
        prop_assert!(!outcome.reason.is_empty());
    }
}

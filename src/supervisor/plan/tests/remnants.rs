//! What a process leaves behind in its group, and the start that waits for its end.

use super::*;

impl World {
    /// As [`World::exit`], with something of its process group living on.
    pub(super) fn exit_leaving(&mut self, id: Id, exit: Exit) {
        if self.running.contains_key(&id) {
            self.remnants.insert(id, None);
            self.plan.left_behind(id, 3);
        }
        self.exit(id, exit);
    }

    /// What it left behind has gone.
    pub(super) fn cleared(&mut self, id: Id) {
        if self.remnants.remove(&id).is_some() {
            self.plan.left_behind(id, 0);
        }
        self.settle();
    }
}

#[test]
fn a_service_is_not_started_beside_what_its_last_process_left() {
    let mut world = World::up(true);
    world.starts.clear();
    world.exit_leaving(APP, Exit::Code(1));
    assert_eq!(world.remnants[&APP], None, "the verdict is still out");
    world.advance(HOLD);
    assert_eq!(world.remnants[&APP], Some(Push::Term));
    assert!(world.starts.is_empty());
    world.cleared(APP);
    assert_eq!(world.starts, [APP]);
}

#[test]
fn who_does_not_obey_is_killed_and_who_hangs_is_waited_for_no_longer() {
    let mut world = World::up(true);
    world.starts.clear();
    world.exit_leaving(WM, Exit::Signal(11));
    world.advance(HOLD);
    world.advance(RESTART_GRACE - HOLD);
    assert_eq!(world.remnants[&WM], Some(Push::Term));
    world.advance(HOLD);
    assert_eq!(world.remnants[&WM], Some(Push::Kill));
    assert!(world.starts.is_empty());
    world.advance(AFTER_KILL);
    assert_eq!(world.starts, [WM]);
}

#[test]
fn what_a_service_leaves_that_does_not_come_back_is_let_be() {
    let mut world = World::up(true);
    world.order(APP, Order::Stop);
    world.exit_leaving(APP, Exit::Signal(SIGTERM));
    world.advance(Duration::from_secs(60));
    assert_eq!(world.remnants[&APP], None);
    world.starts.clear();
    world.order(APP, Order::Start);
    assert_eq!(world.remnants[&APP], Some(Push::Term));
    world.cleared(APP);
    assert_eq!(world.starts, [APP]);
}

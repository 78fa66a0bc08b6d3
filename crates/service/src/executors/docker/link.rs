//! Whether the daemon answers. Owns the one state that all duties look at; makes no call.

use tokio::sync::watch;

/// Up or down. Each time it comes up it has another number, so that late news of an earlier connection does no harm.
pub struct Link {
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Default)]
struct State {
    number: u64,
    is_up: bool,
}

impl Link {
    /// Down.
    pub fn new() -> Link {
        Link { state: watch::Sender::new(State::default()) }
    }

    /// Whether the daemon answered when it was asked last.
    pub fn is_up(&self) -> bool {
        self.state.borrow().is_up
    }

    /// Waits until it is up; answers which time this is.
    pub async fn up(&self) -> u64 {
        let mut states = self.state.subscribe();
        let number = states.wait_for(|state| state.is_up).await.map(|state| state.number);
        match number {
            Ok(number) => number,
            // The sender lives as long as this link.
            Err(_) => std::future::pending().await,
        }
    }

    /// Whether it is still up as it was then.
    pub fn is(&self, number: u64) -> bool {
        let state = *self.state.borrow();
        state.is_up && state.number == number
    }

    /// It came up.
    pub fn made(&self) {
        self.state.send_modify(|state| *state = State { number: state.number + 1, is_up: true });
    }

    /// It went down. False if that was known, or if it has come up again since.
    pub fn broke(&self, number: u64) -> bool {
        self.state.send_if_modified(|state| {
            let news = state.is_up && state.number == number;
            state.is_up &= !news;
            news
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn late_news_of_an_earlier_connection_changes_nothing() {
        let link = Link::new();
        assert!(!link.is_up());
        link.made();
        let first = link.up().await;
        assert!(link.broke(first));
        assert!(!link.broke(first));
        link.made();
        assert!(!link.broke(first));
        assert!(link.is_up() && !link.is(first) && link.is(link.up().await));
    }
}

//! Which executors this server has, and which one a job gets.

use docket_contract::job::ExecutorKind;
use docket_contract::{Code, Error, FieldError};

/// The executors of this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executors {
    default: ExecutorKind,
    configured: Vec<ExecutorKind>,
}

impl Default for Executors {
    /// Processes only.
    fn default() -> Self {
        Self { default: ExecutorKind::Process, configured: vec![ExecutorKind::Process] }
    }
}

impl Executors {
    /// Those that are configured, and the one for jobs that do not say.
    ///
    /// # Errors
    /// A text for people if the default is not configured.
    pub fn new(default: ExecutorKind, configured: Vec<ExecutorKind>) -> Result<Self, String> {
        if !configured.contains(&default) {
            return Err(format!("executor: {} is not configured", default.name()));
        }
        Ok(Self { default, configured })
    }

    /// The executor of a job that asks for this one, or does not say.
    pub(super) fn choose(&self, asked: Option<ExecutorKind>) -> Result<ExecutorKind, Error> {
        let chosen = asked.unwrap_or(self.default);
        if self.configured.contains(&chosen) {
            return Ok(chosen);
        }
        let names: Vec<_> = self.configured.iter().map(|kind| kind.name()).collect();
        let detail = format!("The executor {} is not configured here; there is {}.", chosen.name(), names.join(", "));
        let field =
            FieldError { pointer: "/executor".to_owned(), code: "not_supported".to_owned(), detail: detail.clone() };
        Err(Error { errors: vec![field], ..Error::new(Code::NotSupported, detail) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ExecutorKind::{Docker, Process, Worker};

    #[test]
    fn a_job_gets_what_it_asks_for_where_it_is_configured() {
        let executors = Executors::new(Docker, vec![Process, Docker]).expect("configured");
        assert_eq!(executors.choose(None), Ok(Docker));
        assert_eq!(executors.choose(Some(Process)), Ok(Process));
        let refused = executors.choose(Some(Worker)).expect_err("not configured");
        assert_eq!((refused.code, refused.errors[0].pointer.as_str()), (Code::NotSupported, "/executor"));
        assert!(refused.detail.contains("there is process, docker"), "{}", refused.detail);
        assert!(Executors::new(Docker, vec![Process]).is_err());
    }
}

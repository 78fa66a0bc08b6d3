//! Both drivers under the suites, unchanged.

#![allow(clippy::unwrap_used, reason = "tests")]

mod control {
    use crate::store::ControlStore;
    use crate::store::conformance::control::{Fixture, control_suite};
    use crate::store::memory::MemoryControl;
    use async_trait::async_trait;
    use std::sync::Arc;

    #[async_trait]
    impl Fixture for MemoryControl {
        async fn open(&self) -> Arc<dyn ControlStore> {
            Arc::new(self.reopen())
        }
    }

    control_suite!(MemoryControl::default());
}

mod schedules {
    use crate::store::conformance::schedules::{Fixture, Stores, schedules_suite};
    use crate::store::memory::MemoryControl;
    use async_trait::async_trait;
    use std::sync::Arc;

    #[async_trait]
    impl Fixture for MemoryControl {
        async fn open(&self) -> Stores {
            let store = Arc::new(self.reopen());
            Stores { control: store.clone(), schedules: store }
        }
    }

    schedules_suite!(MemoryControl::default());
}

mod retention {
    use crate::store::conformance::retention::{Fixture, Stores, retention_suite};
    use crate::store::memory::MemoryControl;
    use async_trait::async_trait;
    use std::sync::Arc;

    #[async_trait]
    impl Fixture for MemoryControl {
        async fn open(&self) -> Stores {
            let store = Arc::new(self.reopen());
            Stores { control: store.clone(), retention: store }
        }
    }

    retention_suite!(MemoryControl::default());
}

mod results {
    use crate::store::ResultStore;
    use crate::store::memory::MemoryResults;
    use std::sync::Arc;

    async fn open() -> (Arc<dyn ResultStore>, ()) {
        (Arc::new(MemoryResults::default()), ())
    }

    crate::results_suite!(open);
}

mod files {
    use crate::store::files::FileStore;
    use crate::store::memory::MemoryFiles;
    use std::sync::Arc;

    async fn open() -> (Arc<dyn FileStore>, ()) {
        (Arc::new(MemoryFiles::default()), ())
    }

    crate::files_suite!(open);
}

//! Any bytes as a request of SOAP 1.1 and 1.2: it must answer, and what it reads must be JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    docket_service::faces::soap::try_read(bytes);
});

//! Every operation through the real server: one file an operation, and what holds for all of them.

mod access;
mod call;
mod cancel_job;
mod compatibility;
mod delete_job;
mod delete_job_results;
mod docs;
mod errors;
mod insert_job_results;
mod list_job_run_results;
mod list_job_types;
mod list_jobs;
mod mock;
mod read_job;
mod read_job_history;
mod read_job_log;
mod read_job_statistics;
mod restart;
mod scenario;
mod serve;
mod snapshots;
mod start_job;
mod support;
mod survival;
mod update_job;
mod update_result_data;

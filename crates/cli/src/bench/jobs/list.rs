//! Listing jobs, with every filter and both orders.

use super::{Run, stored};
use crate::bench::load::{self, Tally, Worker};
use crate::failure::Failure;
use docket_client::{Connection, Request};
use docket_contract::Status;
use docket_contract::operations::{ListJobs, ListJobsFeature, ListJobsInput, MAX_JOBS_PAGE};

/// So many pages are read one after another before a listing begins again.
const CHAIN: u32 = 10;

/// Reads a listing's first pages, again and again.
struct Lister {
    connection: Connection,
    input: ListJobsInput,
    requests: u64,
    page: u32,
}

impl Worker for Lister {
    async fn step(&mut self, tally: &mut Tally) -> Result<bool, Failure> {
        if tally.latencies.len() as u64 >= self.requests {
            return Ok(false);
        }
        let request = Request::of::<ListJobs>(&self.input)?;
        let answer = load::timed(&mut self.connection, &request, false, tally).await?;
        tally.items += 1;
        self.page += 1;
        // The token may stand in front of the jobs or behind them.
        let text = String::from_utf8_lossy(&answer.head);
        let token = text.split(r#""nextStartAfter":""#).nth(1).and_then(|rest| rest.split('"').next());
        let token = token.or_else(|| answer.next_start_after()).map(str::to_owned);
        self.input.start_after = token.filter(|_| self.page < CHAIN);
        if self.input.start_after.is_none() {
            self.page = 0;
        }
        Ok(true)
    }
}

type Choose = Box<dyn Fn(&mut ListJobsInput)>;

/// The filters: a name, what it is for people, and how it is set. `user` is a user that has jobs.
fn filters(tag: &str, user: &str) -> Vec<(&'static str, &'static str, Choose)> {
    let (tag, user) = (tag.to_owned(), user.to_owned());
    let tags = |tags: &[&str]| -> Vec<String> { tags.iter().map(|&tag| tag.to_owned()).collect() };
    let (one, two, rare, none) =
        (tags(&["nightly"]), tags(&["nightly", "team-3"]), tags(&["rare"]), tags(&["no-such"]));
    let both = two.clone();
    let everything = vec![tag.clone(), "team-3".to_owned()];
    let everything_user = user.clone();
    vec![
        ("all", "no filter", Box::new(|_| {})),
        ("user", "a user of most jobs", Box::new(move |input| input.user = Some(user.clone()))),
        ("user-none", "a user of no job", Box::new(|input| input.user = Some("no-such-user".to_owned()))),
        (
            "storage",
            "a storageId of one job in a thousand",
            Box::new(|input| input.storage_id = Some("bench-7".into())),
        ),
        (
            "storage-rare",
            "a storageId of one job in 10,000",
            Box::new(|input| input.storage_id = Some("bench-rare".into())),
        ),
        ("type", "a jobType of a fifth", Box::new(|input| input.job_type = vec!["BENCH_KIND_3_JOB".into()])),
        (
            "type-rare",
            "a jobType of one job in 10,000",
            Box::new(|input| input.job_type = vec!["BENCH_RARE_JOB".into()]),
        ),
        (
            "types",
            "two jobTypes",
            Box::new(|input| {
                input.job_type = vec!["BENCH_KIND_1_JOB".into(), "BENCH_RARE_JOB".into()];
            }),
        ),
        (
            "status",
            "a jobStatus of most jobs",
            Box::new(|input| {
                input.job_status = vec![Status::Persisted, Status::Scheduled];
            }),
        ),
        ("status-none", "a jobStatus of no job", Box::new(|input| input.job_status = vec![Status::Died])),
        ("tag", "a tag of a quarter", Box::new(move |input| input.tags = one.clone())),
        ("tag-rare", "a tag of one job in 10,000", Box::new(move |input| input.tags = rare.clone())),
        ("tag-none", "a tag of no job", Box::new(move |input| input.tags = none.clone())),
        ("tags-or", "one of two tags", Box::new(move |input| input.tags = two.clone())),
        (
            "tags-and",
            "two tags with TAGS_CONJUNCTION",
            Box::new(move |input| {
                input.tags = both.clone();
                input.features_on.push(ListJobsFeature::TagsConjunction);
            }),
        ),
        (
            "combined",
            "user, two tags (TAGS_CONJUNCTION), jobType and jobStatus together",
            Box::new(move |input| {
                input.user = Some(everything_user.clone());
                input.tags = everything.clone();
                input.features_on.push(ListJobsFeature::TagsConjunction);
                input.job_type = vec!["BENCH_KIND_2_JOB".into()];
                input.job_status = vec![Status::Scheduled, Status::Persisted];
            }),
        ),
    ]
}

impl Run {
    pub(super) async fn list(&mut self) -> Result<(), Failure> {
        self.fill().await?;
        let newest = ListJobsInput { tags: vec![self.tag.clone()], limit: Some(1), ..ListJobsInput::default() };
        let user = self.client.call::<ListJobs>(&newest).await?.values.first().map(|job| job.user.clone());
        let user = user.ok_or_else(|| Failure::other("no stored job can be listed"))?;
        for (name, filter, choose) in filters(&self.tag.clone(), &user) {
            for (order, sort) in [("desc", "-createdAt"), ("asc", "createdAt")] {
                self.list_one(&format!("list-{name}-{order}"), filter, sort, &choose, false).await?;
            }
            self.list_one(&format!("list-{name}-total"), filter, "-createdAt", &choose, true).await?;
        }
        Ok(())
    }

    async fn list_one(
        &mut self,
        name: &str,
        filter: &str,
        sort: &str,
        choose: &Choose,
        with_total: bool,
    ) -> Result<(), Failure> {
        self.progress.begin(name);
        let mut input =
            ListJobsInput { sort: Some(sort.to_owned()), limit: Some(MAX_JOBS_PAGE), ..ListJobsInput::default() };
        choose(&mut input);
        if with_total {
            input.features_on.push(ListJobsFeature::NumberOfTotal);
        }
        let requests = self.args.requests;
        let mut connection = self.args.common.connection()?;
        for _ in 0..load::WARM_UP {
            load::unmeasured(&mut connection, &Request::of::<ListJobs>(&input)?).await?;
        }
        let lister = Lister { connection, input, requests, page: 0 };
        let (_, measured) = load::run(vec![lister], self.args.common.pid).await?;
        let total = if with_total { ", with the total" } else { "" };
        let what = format!(
            "List Jobs, up to {MAX_JOBS_PAGE} a page, {filter}, sort={sort}{total}: the first {CHAIN} pages, then again \
             from the first one, over one connection, {}.",
            stored(self.stored)
        );
        self.add("list", measured.figure(name, what, "requests"));
        Ok(())
    }
}

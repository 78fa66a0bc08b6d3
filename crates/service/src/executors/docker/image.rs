//! Images: what their names may look like, getting them, and what an attempt must know of them. Refuses names that are no
//! image references, since they become part of an address.

use std::time::Duration;

use super::daemon::{Daemon, Fault};

/// The longest reference: a registry's host, a repository of 255 characters, a tag of 128 and a digest.
const REFERENCE_LIMIT: usize = 700;

/// What an attempt must know of its image.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Names the content.
    pub id: String,
    /// Whom its programs run as; empty for root.
    pub user: String,
    /// Where its programs start; empty for the root.
    pub working_directory: String,
    /// Its `PATH`.
    pub path: Option<String>,
    /// Whether it says itself what to run.
    pub has_program: bool,
}

/// The facts of an image, which is pulled when it is missing. The inner error is a reason for people.
pub async fn facts(daemon: &Daemon, image: &str, pull_limit: Duration) -> Result<Result<Facts, String>, Fault> {
    let (name, tag) = match reference(image) {
        Ok(parts) => parts,
        Err(reason) => return Ok(Err(reason)),
    };
    match known(daemon, image).await {
        Err(fault) if fault.is(404) => {}
        other => return other.map(Ok),
    }
    if pull_limit.is_zero() {
        return Ok(Err(format!("the image {image:?} is not on this machine, and the server is told to pull none")));
    }
    tracing::info!(image, "pulling an image");
    match daemon.pull(name, tag, pull_limit).await {
        Ok(Some(())) => {}
        Ok(None) => {
            return Ok(Err(format!("the image {image:?} was not pulled within {} s", pull_limit.as_secs())));
        }
        Err(Fault::Answer { message, .. }) => {
            return Ok(Err(format!("the image {image:?} can't be pulled: {message}")));
        }
        Err(fault) => return Err(fault),
    }
    match known(daemon, image).await {
        Err(fault) if fault.is(404) => Ok(Err(format!("the image {image:?} is not there after it was pulled"))),
        other => other.map(Ok),
    }
}

async fn known(daemon: &Daemon, image: &str) -> Result<Facts, Fault> {
    let inspected = daemon.image(image).await?;
    let config = inspected.config.unwrap_or_default();
    let is_there = |list: Option<Vec<String>>| list.is_some_and(|list| !list.is_empty());
    let path =
        config.env.unwrap_or_default().into_iter().find_map(|pair| pair.strip_prefix("PATH=").map(str::to_owned));
    Ok(Facts {
        id: inspected.id.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        working_directory: config.working_dir.unwrap_or_default(),
        path,
        has_program: is_there(config.cmd) || is_there(config.entrypoint),
    })
}

/// A reference in name and tag or digest. Without a tag it is `latest`: a pull without one would fetch all of them.
fn reference(image: &str) -> Result<(&str, &str), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/:@+".contains(c);
    let wrong = image.is_empty()
        || image.len() > REFERENCE_LIMIT
        || !image.chars().all(allowed)
        || image.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.starts_with('-'));
    if wrong {
        return Err(format!("{:?} is no image reference", image.chars().take(200).collect::<String>()));
    }
    if let Some((name, digest)) = image.split_once('@') {
        return Ok((name, digest));
    }
    let last = image.rfind('/').map_or(0, |slash| slash + 1);
    match image[last..].rfind(':') {
        Some(colon) => Ok((&image[..last + colon], &image[last + colon + 1..])),
        None => Ok((image, "latest")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_have_a_tag_or_a_digest() {
        for (image, name, tag) in [
            ("busybox", "busybox", "latest"),
            ("busybox:1", "busybox", "1"),
            ("host:5000/a/b", "host:5000/a/b", "latest"),
            ("host:5000/a/b:v1.2", "host:5000/a/b", "v1.2"),
            ("a/b@sha256:00ff", "a/b", "sha256:00ff"),
        ] {
            assert_eq!(reference(image), Ok((name, tag)), "{image}");
        }
    }

    #[test]
    fn what_would_lead_elsewhere_is_no_reference() {
        let long = "x".repeat(REFERENCE_LIMIT + 1);
        for image in ["", "a b", "../containers", "a/../../b", "a//b", "/a", "a/", "a?x=1", "a#b", "a%2e", "-a", &long]
        {
            assert!(reference(image).is_err(), "{image}");
        }
    }
}

//! Which answer a client gets: an example, a random variation of it, or one of the operation's errors.

use super::prefer::{Preferences, note, wrong};
use super::vary;
use crate::faces::openapi;
use docket_contract::operations::Operation;
use docket_contract::{Code, Error};

/// The answer of an operation.
pub(super) fn answer<O: Operation>(preferences: &Preferences) -> Result<O::Output, Error> {
    let Preferences { code, example, dynamic, seed, .. } = preferences;
    if let Some(wanted) = code {
        let codes = wanted_codes::<O>(wanted).map_err(|detail| wrong(&detail))?;
        if !codes.is_empty() {
            let error = error_of(&codes, example.as_deref())?;
            note("code", wanted);
            example.iter().for_each(|name| note("example", name));
            return Err(error);
        }
    }
    let output = success::<O>(example.as_deref())?;
    code.iter().for_each(|code| note("code", code));
    example.iter().for_each(|name| note("example", name));
    if !dynamic {
        return Ok(output);
    }
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let varied = vary::vary::<O>(&output, seed)?;
    note("dynamic", true);
    note("seed", seed);
    Ok(varied)
}

/// The error codes that a status or a code's name stands for; none for the status of a success. An error tells what the
/// operation has.
pub(super) fn wanted_codes<O: Operation>(wanted: &str) -> Result<Vec<Code>, String> {
    if wanted == "200" {
        return Ok(Vec::new());
    }
    let possible = openapi::codes::<O>();
    let fits = |code: &Code| code.name() == wanted || code.status().to_string() == wanted;
    let found: Vec<Code> = possible.iter().copied().filter(fits).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let mut names: Vec<_> = possible.iter().map(|code| format!("{} ({code})", code.status())).collect();
    names.sort_unstable();
    names.dedup();
    Err(format!("code must be 200 or one that {} has: {}; not {wanted:?}", O::NAME, names.join(", ")))
}

fn error_of(codes: &[Code], name: Option<&str>) -> Result<Error, Error> {
    let Some(name) = name else { return Ok(openapi::example(codes[0])) };
    let found = codes.iter().find(|code| code.name() == name);
    found.map(|code| openapi::example(*code)).ok_or_else(|| unknown_example(codes.iter().map(|code| code.name()), name))
}

fn success<O: Operation>(name: Option<&str>) -> Result<O::Output, Error> {
    let Some(name) = name else { return Ok(O::example().1) };
    let mut examples = O::examples();
    match examples.iter().position(|(known, _)| *known == name) {
        Some(place) => Ok(examples.swap_remove(place).1),
        None => Err(unknown_example(examples.iter().map(|(known, _)| *known), name)),
    }
}

fn unknown_example<'a>(known: impl Iterator<Item = &'a str>, name: &str) -> Error {
    wrong(&format!("example must be one of {}; not {name:?}", known.collect::<Vec<_>>().join(", ")))
}

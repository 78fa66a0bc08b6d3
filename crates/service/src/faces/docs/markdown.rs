//! The Markdown files of the repository's `docs/` as HTML. Code gets colours and a button, headings an anchor, tables a
//! frame that scrolls; links between the files lead to their pages. Raw HTML in a file is shown, not obeyed.

use super::highlight::Code;
use askama::Template;
use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};
use std::collections::BTreeSet;

/// Every Markdown file of `docs/`: name and text. The build script makes the list.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/docs.rs"));

/// The file that is the entry page.
const HOME: &str = "README.md";
const HOME_PATH: &str = "/docs";

/// A heading within a page.
pub(super) struct Heading {
    pub(super) id: String,
    pub(super) text: String,
}

/// One file.
pub(super) struct Guide {
    pub(super) path: String,
    /// The first heading.
    pub(super) title: String,
    pub(super) html: String,
    /// The headings of the second level.
    pub(super) headings: Vec<Heading>,
}

impl Guide {
    pub(super) fn is_home(&self) -> bool {
        self.path == HOME_PATH
    }
}

/// Every file, the entry page first.
pub(super) fn guides() -> Vec<Guide> {
    let mut guides: Vec<_> = FILES.iter().map(|(name, text)| guide(name, text)).collect();
    guides.sort_by_key(|guide| !guide.is_home());
    guides
}

/// A line of prose with code and links, as HTML.
pub(super) fn inline(text: &str) -> String {
    let mut out = String::new();
    let events = Parser::new(text).filter_map(|event| match event {
        Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph) => None,
        other => Some(shown(other)),
    });
    html::push_html(&mut out, events);
    out.trim_end().to_owned()
}

fn path(name: &str) -> String {
    match name {
        HOME => HOME_PATH.to_owned(),
        _ => format!("{HOME_PATH}/{}", name.trim_end_matches(".md").to_ascii_lowercase()),
    }
}

fn guide(name: &str, text: &str) -> Guide {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut events = Parser::new_ext(text, options).map(shown);
    let mut page = Guide { path: path(name), title: name.to_owned(), html: String::new(), headings: Vec::new() };
    let (mut ids, mut out) = (BTreeSet::new(), Vec::new());
    let mut links = Vec::new();
    let mut headers = 0;
    while let Some(event) = events.next() {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => out.push(code(&kind, &mut events)),
            Event::Start(Tag::Heading { level, .. }) => {
                let inner: Vec<_> =
                    events.by_ref().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_)))).collect();
                let text = plain(&inner);
                if level == HeadingLevel::H1 && page.headings.is_empty() && ids.is_empty() {
                    // The page itself shows it.
                    page.title = text;
                    continue;
                }
                let id = unique(&mut ids, &anchor(&text));
                if level == HeadingLevel::H2 {
                    page.headings.push(Heading { id: id.clone(), text });
                }
                let tag = Tag::Heading { level, id: Some(id.into()), classes: Vec::new(), attrs: Vec::new() };
                out.push(Event::Start(tag));
                out.extend(inner);
                out.push(Event::End(TagEnd::Heading(level)));
            }
            Event::Start(Tag::Link { dest_url, link_type, title, id }) => {
                let target = target(&dest_url);
                links.push(target.is_some());
                if let Some(dest_url) = target {
                    out.push(Event::Start(Tag::Link { link_type, dest_url: dest_url.into(), title, id }));
                }
            }
            Event::End(TagEnd::Link) => {
                if links.pop() == Some(true) {
                    out.push(Event::End(TagEnd::Link));
                }
            }
            Event::Start(Tag::Table(alignment)) => {
                headers += 1;
                let frame =
                    format!("<div class=\"frame\" role=\"region\" aria-label=\"Table {headers}\" tabindex=\"0\">");
                out.push(Event::InlineHtml(frame.into()));
                out.push(Event::Start(Tag::Table(alignment)));
            }
            Event::Start(Tag::TableHead) => {
                out.push(event);
                out.extend(head(&mut events));
            }
            Event::End(TagEnd::Table) => {
                out.push(Event::End(TagEnd::Table));
                out.push(Event::InlineHtml("</div>".into()));
            }
            other => out.push(other),
        }
    }
    html::push_html(&mut page.html, out.into_iter());
    page
}

/// The cells of a table's head. One without words heads nothing: to a screen reader it must not be a header.
fn head<'a>(events: &mut impl Iterator<Item = Event<'a>>) -> Vec<Event<'a>> {
    let mut cells = Vec::new();
    for event in events {
        match event {
            Event::End(TagEnd::TableCell) if matches!(cells.last(), Some(Event::Start(Tag::TableCell))) => {
                cells.pop();
                cells.push(Event::InlineHtml("<td></td>".into()));
            }
            Event::End(TagEnd::TableHead) => {
                cells.push(event);
                break;
            }
            other => cells.push(other),
        }
    }
    cells
}

/// Raw HTML becomes text.
fn shown(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        other => other,
    }
}

fn code<'a>(kind: &CodeBlockKind<'_>, events: &mut impl Iterator<Item = Event<'a>>) -> Event<'a> {
    let inner: Vec<_> = events.take_while(|event| !matches!(event, Event::End(TagEnd::CodeBlock))).collect();
    let text = plain(&inner);
    let language = match kind {
        CodeBlockKind::Fenced(info) => info.split([' ', ',']).next().unwrap_or_default(),
        CodeBlockKind::Indented => "",
    };
    // A fence without a language holds commands, in this project's files.
    let language = if language.is_empty() { "sh" } else { language };
    Event::InlineHtml(Code::new("Code", language, &text).render().unwrap_or_default().into())
}

fn plain(events: &[Event<'_>]) -> String {
    let text = |event: &Event<'_>| match event {
        Event::Text(text) | Event::Code(text) => text.to_string(),
        Event::SoftBreak | Event::HardBreak => " ".to_owned(),
        _ => String::new(),
    };
    events.iter().map(text).collect()
}

/// An anchor as GitHub makes it, so that links work there and here.
fn anchor(text: &str) -> String {
    let kept =
        text.to_lowercase().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).collect::<String>();
    kept.trim().replace(' ', "-")
}

fn unique(ids: &mut BTreeSet<String>, wanted: &str) -> String {
    let mut id = wanted.to_owned();
    let mut number = 0;
    while !ids.insert(id.clone()) {
        number += 1;
        id = format!("{wanted}-{number}");
    }
    id
}

/// Where a link leads: to the page of another file, or to where it says. Files outside `docs/` are not served: such a
/// link stays as words.
fn target(link: &CowStr<'_>) -> Option<String> {
    if link.starts_with(['#', '/']) || link.contains("://") {
        return Some(link.to_string());
    }
    let (file, anchor) = link.split_once('#').map_or((&**link, None), |(file, anchor)| (file, Some(anchor)));
    let (name, _) = FILES.iter().find(|(name, _)| *name == file.trim_start_matches("./"))?;
    let mut path = path(name);
    if let Some(anchor) = anchor {
        path.push('#');
        path.push_str(anchor);
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_page_with_a_title_of_its_own() {
        let guides = guides();
        assert_eq!(guides.len(), FILES.len());
        assert!(guides[0].is_home(), "docs/README.md is the entry");
        let titles: BTreeSet<_> = guides.iter().map(|guide| &guide.title).collect();
        assert_eq!(titles.len(), guides.len(), "{titles:?}");
        for guide in &guides {
            assert!(!guide.title.ends_with(".md"), "{} begins with a heading", guide.title);
            assert!(!guide.html.contains("<h1"), "{} has one heading of the first level", guide.title);
        }
    }

    #[test]
    fn links_lead_to_pages_and_raw_html_is_shown() {
        let page = guide(
            "X.md",
            "# T\n\n## A b\n\n[api](API.md#callers) [code](../x.rs) <script>\n\n## A b\n\n|a|\n|-|\n|1|\n",
        );
        assert!(page.html.contains("<a href=\"/docs/api#callers\">api</a> code &lt;script&gt;"), "{}", page.html);
        assert_eq!(page.headings.iter().map(|heading| heading.id.as_str()).collect::<Vec<_>>(), ["a-b", "a-b-1"]);
        assert!(
            page.html.contains("tabindex=\"0\"><table>") && page.html.contains("</table>\n</div>"),
            "{}",
            page.html
        );
        assert_eq!(page.title, "T");
    }

    #[test]
    fn a_head_without_words_is_no_header() {
        let page = guide("X.md", "# T\n\n| |b|\n|-|-|\n|1|2|\n");
        assert!(page.html.contains("<tr><td></td><th>b</th></tr></thead>"), "{}", page.html);
        assert!(page.html.contains("<tr><td>1</td><td>2</td></tr>"), "{}", page.html);
    }

    #[test]
    fn prose_keeps_its_code() {
        assert_eq!(inline("The `nextStartAfter` of <b> & c."), "The <code>nextStartAfter</code> of &lt;b&gt; &amp; c.");
    }
}

//! Tables and numbers for people: 80 columns, no color, the same on a terminal and in a file.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

/// Prints a line to standard output, like `println!`; but when nobody reads any more, it is left out instead of ending
/// the program in the middle of its work.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::write_line(&mut std::io::stdout().lock(), format_args!($($text)*)) };
}

/// The same to standard error: progress and notes, apart from what a command answers.
macro_rules! tell {
    ($($text:tt)*) => { $crate::output::write_line(&mut std::io::stderr().lock(), format_args!($($text)*)) };
}

pub(crate) use {say, tell};

/// Writes a line; a failure is ignored.
pub fn write_line(output: &mut impl std::io::Write, text: std::fmt::Arguments<'_>) {
    let _ = writeln!(output, "{text}");
}

/// The width that every table fits into.
const WIDTH: u16 = 80;

/// A table whose first column is text and whose other columns are numbers.
pub fn numbers<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = text(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A table of texts.
pub fn text<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(WIDTH);
    table.set_header(header.into_iter().map(Cell::new).collect::<Vec<_>>());
    table
}

/// A whole number with a comma at every third digit.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with about three significant digits, or all in front of the point.
pub fn figure(number: f64) -> String {
    match number.abs() {
        n if !n.is_finite() => "-".to_owned(),
        n if n >= 100.0 || n == 0.0 => count(number.round().max(0.0) as u64),
        n if n >= 10.0 => format!("{number:.1}"),
        n if n >= 1.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

/// `text`, or its first `limit` characters with `…` as the last. Control characters do not reach a terminal.
pub fn cut(text: &str, limit: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.chars().count() <= limit {
        return clean;
    }
    let mut cut: String = clean.chars().take(limit.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let counts: Vec<_> = [0, 999, 1000, 1_234_567].map(count).into();
        assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
        let figures: Vec<_> = [0.0, 0.0123, 1.234, 56.78, 123.4, 1_234_567.8, f64::NAN].map(figure).into();
        assert_eq!(figures, ["0", "0.012", "1.23", "56.8", "123", "1,234,568", "-"]);
        assert_eq!(cut("ab\x1bc", 10), "ab c");
        assert_eq!(cut("äöüäöü", 4), "äöü…");
    }

    #[test]
    fn tables_fit_80_columns() {
        let mut table = numbers(["what", "a", "b"]);
        table.add_row(["a long text ".repeat(20).as_str(), "1", "2"]);
        let text = table.to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}

//! A page of the manual for the terminal: CommonMark in, styled lines of a fixed width out.

use anstyle::{AnsiColor, Style};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use textwrap::core::{Word, display_width};
use textwrap::{Options as Wrap, WordSeparator, WordSplitter, fill};

use super::Page;

const TITLE: Style = Style::new().bold().underline();
const HEADING: Style = Style::new().bold();
const STRONG: Style = Style::new().bold();
const CODE: Style = AnsiColor::Cyan.on_default();

/// How far text stands from the left, and code from the text.
const INDENT: usize = 2;
const CODE_INDENT: usize = 2;
/// What lies between two columns of a table.
const GAP: usize = 2;
/// The narrowest last column that a table is still set in columns for.
const NARROWEST: usize = 34;

/// `markdown` in lines of at most `width` columns.
pub(super) fn terminal(markdown: &str, width: usize) -> String {
    let mut page = Terminal { width, ..Terminal::default() };
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        page.take(event);
    }
    page.out
}

#[derive(Default)]
struct Terminal {
    width: usize,
    out: String,
    /// The words of the block that is being read, with their styles.
    text: String,
    /// The list items that the block lies in: what stands before it, once, and the next number.
    lists: Vec<Option<u64>>,
    bullet: Option<String>,
    /// Whether the list that is being read has an item already.
    in_list: bool,
    link: Option<(String, usize)>,
    code: Option<String>,
    table: Table,
}

#[derive(Default)]
struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Terminal {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                Some(code) => code.push_str(&text),
                None => self.text.push_str(&text),
            },
            Event::Code(code) => self.text.push_str(&format!("{CODE}{code}{CODE:#}")),
            Event::SoftBreak | Event::HardBreak => self.text.push(' '),
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::List(first) => {
                self.paragraph();
                self.in_list &= !self.lists.is_empty();
                self.lists.push(first);
            }
            Tag::Item => {
                self.bullet = Some(match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    _ => "- ".to_owned(),
                });
            }
            Tag::Strong => self.text.push_str(&format!("{STRONG}")),
            Tag::Link { dest_url, .. } => self.link = Some((dest_url.to_string(), self.text.len())),
            Tag::CodeBlock(_) => {
                self.paragraph();
                self.code = Some(String::new());
            }
            Tag::Table(_) => self.table = Table::default(),
            Tag::TableRow => self.table.rows.push(Vec::new()),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(level) => {
                let style = if level == HeadingLevel::H1 { TITLE } else { HEADING };
                let text = std::mem::take(&mut self.text);
                self.gap();
                self.line(&format!("{style}{text}{style:#}"), "", "");
            }
            TagEnd::Paragraph | TagEnd::Item => self.paragraph(),
            TagEnd::List(_) => drop(self.lists.pop()),
            TagEnd::Strong => self.text.push_str(&format!("{STRONG:#}")),
            TagEnd::Link => self.linked(),
            TagEnd::CodeBlock => self.code_block(),
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.text);
                match self.table.rows.last_mut() {
                    Some(row) => row.push(cell),
                    None => self.table.head.push(cell),
                }
            }
            TagEnd::Table => self.whole_table(),
            _ => {}
        }
    }

    /// An empty line before a block, except at the top and between the items of a list.
    fn gap(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    fn line(&mut self, text: &str, first: &str, others: &str) {
        self.out.push_str(&wrapped(text, self.width, first, others));
        self.out.push('\n');
    }

    /// Writes the words so far as a paragraph, or as the item of a list.
    fn paragraph(&mut self) {
        let text = std::mem::take(&mut self.text);
        if text.trim().is_empty() {
            return;
        }
        let base = " ".repeat(INDENT * self.lists.len().max(1));
        match self.bullet.take() {
            Some(bullet) => {
                // The items of a list stand together.
                if !self.in_list {
                    self.gap();
                }
                self.in_list = true;
                let others = format!("{base}{}", " ".repeat(bullet.len()));
                self.line(&text, &format!("{base}{bullet}"), &others);
            }
            None => {
                self.gap();
                self.line(&text, &base, &base);
            }
        }
    }

    /// Where a link leads, behind its words: a page of the manual, or an address.
    fn linked(&mut self) {
        let Some((target, from)) = self.link.take() else { return };
        match Page::linked(&target) {
            Some(page) if self.text[from..] == *page.topic => {
                self.text.truncate(from);
                self.text.push_str(&format!("{CODE}manual {}{CODE:#}", page.topic));
            }
            Some(page) => self.text.push_str(&format!(" ({CODE}manual {}{CODE:#})", page.topic)),
            None if target.starts_with("https://") => self.text.push_str(&format!(" ({target})")),
            None => {}
        }
    }

    fn code_block(&mut self) {
        let Some(code) = self.code.take() else { return };
        self.gap();
        let base = INDENT * self.lists.len().max(1) + CODE_INDENT;
        for line in code.lines() {
            let words = line.trim_start();
            if words.is_empty() {
                self.out.push('\n');
                continue;
            }
            // What a line of code begins with says how it is nested.
            let first = " ".repeat(base + line.len() - words.len());
            let further = format!("{first}  ");
            for (n, line) in verbatim(words, self.width, &first, &further).lines().enumerate() {
                let (indent, words) = line.split_at(if n == 0 { first.len() } else { further.len() });
                self.out.push_str(&format!("{indent}{CODE}{words}{CODE:#}\n"));
            }
        }
    }

    /// A table in columns, where its last one gets room enough; otherwise row after row.
    fn whole_table(&mut self) {
        let Table { head, rows } = std::mem::take(&mut self.table);
        self.gap();
        let columns = head.len();
        let widest = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).chain(head.get(column));
            cells.map(|cell| display_width(cell)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(widest).collect();
        let Some((last, others)) = widths.split_last() else { return };
        let before: usize = INDENT + others.iter().map(|width| width + GAP).sum::<usize>();
        if before + last <= self.width || before + NARROWEST <= self.width {
            let bold: Vec<String> = head.iter().map(|cell| format!("{HEADING}{cell}{HEADING:#}")).collect();
            for row in std::iter::once(&bold).chain(&rows) {
                let mut line = " ".repeat(INDENT);
                for (cell, width) in row.iter().zip(others) {
                    line.push_str(cell);
                    line.push_str(&" ".repeat((width + GAP).saturating_sub(display_width(cell))));
                }
                let text = row.last().filter(|_| row.len() == columns).map_or("", String::as_str);
                let hanging = " ".repeat(before);
                let wrapped = wrapped(text, self.width, &hanging, &hanging);
                self.out.push_str(line.trim_end_matches(' '));
                let rest = wrapped.get(before..).unwrap_or_default();
                if !rest.is_empty() {
                    let shown = display_width(line.trim_end_matches(' '));
                    self.out.push_str(&" ".repeat(before.saturating_sub(shown)));
                    self.out.push_str(rest);
                }
                self.out.push('\n');
            }
            return;
        }
        for row in &rows {
            self.row_by_itself(&head, row, *last >= NARROWEST);
        }
    }

    /// The first cell, then the others with what they are; the last one stands as text where its column holds text.
    fn row_by_itself(&mut self, head: &[String], row: &[String], ends_in_text: bool) {
        let (base, deeper) = (" ".repeat(INDENT), " ".repeat(2 * INDENT + 2));
        let Some((first, rest)) = row.split_first() else { return };
        let further = format!("{base}  ");
        self.line(first, &base, &further);
        let (text, between) = match rest.split_last() {
            Some((text, between)) if ends_in_text => (text.as_str(), between),
            _ => ("", rest),
        };
        let named = head.iter().skip(1).zip(between).filter(|(_, cell)| !cell.is_empty());
        let between: Vec<String> = named.map(|(name, cell)| format!("{name}: {cell}")).collect();
        if !between.is_empty() {
            self.line(&between.join("; "), &deeper, &deeper);
        }
        if !text.is_empty() {
            self.line(text, &deeper, &deeper);
        }
    }
}

/// `text` in lines of at most `width` columns, `first` before the first of them and `further` before the others. No word
/// is split at its hyphens: it may be a flag.
pub(crate) fn wrapped(text: &str, width: usize, first: &str, further: &str) -> String {
    let wrap = Wrap::new(width).initial_indent(first).subsequent_indent(further);
    fill(text, wrap.word_splitter(WordSplitter::NoHyphenation))
}

/// A line of code or of a protocol in lines of at most `width` columns: it goes on after a space or a comma. `first`
/// stands before it, `further` before what it goes on with.
pub(crate) fn verbatim(line: &str, width: usize, first: &str, further: &str) -> String {
    let wrap = Wrap::new(width)
        .initial_indent(first)
        .subsequent_indent(further)
        .word_splitter(WordSplitter::NoHyphenation)
        .word_separator(WordSeparator::Custom(|line| Box::new(line.split_inclusive([' ', ',']).map(Word::from))));
    fill(line, wrap)
}

#[cfg(test)]
mod tests {
    use super::super::PAGES;
    use super::*;

    fn plain(markdown: &str, width: usize) -> String {
        anstream::adapter::strip_str(&terminal(markdown, width)).to_string()
    }

    #[test]
    fn blocks_are_set_apart_and_wrapped() {
        let text = plain(
            "# Title\n\nSome *words* and `code`,\nand [settings](settings.md), [the alert](webhook.md), \
             [a site](https://a.example/b), [a file](../../deploy).\n\n- one\n- two, which is so long that it goes on\n\n\
             1. first\n2. second\n\nThe end.\n\n```sh\nrun --this\n  then-that\n```\n",
            40,
        );
        assert_eq!(
            text,
            "Title\n\n  Some words and code, and manual\n  settings, the alert (manual webhook),\n  a site \
             (https://a.example/b), a file.\n\n  - one\n  - two, which is so long that it goes\n    on\n\n  1. first\n  \
             2. second\n\n  The end.\n\n    run --this\n      then-that\n"
        );
    }

    #[test]
    fn tables_stand_in_columns_where_they_fit_and_row_by_row_where_not() {
        let table = "| key | kind | meaning |\n|---|---|---|\n| `a` | b | c d e |\n";
        assert_eq!(plain(table, 40), "  key  kind  meaning\n  a    b     c d e\n");
        let long = "| key | kind | meaning |\n|---|---|---|\n| `sentimentThreshold` | integer | what is rated below it is \
                    a low turn |\n";
        assert_eq!(
            plain(long, 40),
            "  sentimentThreshold\n      kind: integer\n      what is rated below it is a low\n      turn\n"
        );
        let figures =
            "| calls | recall | false |\n|---|---|---|\n| two hundred calls by two writers | 55 of 64 | 3 |\n";
        assert_eq!(plain(figures, 40), "  two hundred calls by two writers\n      recall: 55 of 64; false: 3\n");
    }

    #[test]
    fn every_page_fits_80_columns_and_says_something() {
        for page in PAGES {
            let text = anstream::adapter::strip_str(&page.for_terminal(80)).to_string();
            assert!(text.lines().count() > 5, "{}", page.topic);
            for line in text.lines() {
                assert!(display_width(line) <= 80, "{}: {line}", page.topic);
                assert_eq!(line.trim_end(), line, "{}: blanks at the end of a line", page.topic);
            }
        }
    }
}

use proptest::prelude::*;

use super::*;
use crate::partners::writer::PartnerWriter;

fn read(text: &[u8]) -> Vec<Result<Partner, RowError>> {
    PartnerReader::new(text).unwrap().collect()
}

fn names(rows: &[Result<Partner, RowError>]) -> Vec<String> {
    rows.iter()
        .map(|row| match row {
            Ok(partner) => partner.name.clone(),
            Err(error) => format!("!{}", error.line),
        })
        .collect()
}

#[test]
fn columns_are_found_in_any_order_and_spelling() {
    let text = "\u{feff}Country, NAME ,color,external_id,Postal-Code,businessPartnerId\r\n\
                CH,Acme,red,1,8001,\r\n\r\nDE,\"Bolt, \"\"B\"\"\",blue,2,01067,b2";
    let mut reader = PartnerReader::new(text.as_bytes()).unwrap();
    assert_eq!(reader.unknown_columns(), ["color"]);
    let first = reader.next().unwrap().unwrap();
    assert_eq!((first.external_id.as_str(), first.name.as_str()), ("1", "Acme"));
    assert_eq!((first.postal_code.as_str(), first.country.as_str()), ("8001", "CH"));
    assert_eq!(first.business_partner_id, None);
    let second = reader.next().unwrap().unwrap();
    assert_eq!(second.name, "Bolt, \"B\"");
    assert_eq!(second.business_partner_id.as_deref(), Some("b2"));
    assert_eq!(reader.line(), 4);
    assert!(reader.next().is_none());
    assert!(reader.next().is_none());
}

#[test]
fn other_delimiters_are_taken_from_the_header() {
    for text in ["externalId;name;country\n1;A,B;CH\n", "externalId\tname\tcountry\n1\tA,B\tCH\n"] {
        assert_eq!(names(&read(text.as_bytes())), ["A,B"]);
    }
}

#[test]
fn a_wrong_header_is_a_clear_error() {
    let error = |text: &[u8]| PartnerReader::new(text).unwrap_err().to_string();
    assert_eq!(error(b""), "the file has no header row");
    assert_eq!(error(b"\xef\xbb\xbf\r\n\n"), "the file has no header row");
    assert_eq!(error(b"\xff\xfen\0"), "the header row is not UTF-8");
    assert_eq!(error(b"name,\xff\n"), "the header row is not UTF-8");
    assert!(error(b"name,city\n").starts_with("the header row lacks externalId, country; known"));
    assert_eq!(error(b"name,externalId,country,NAME\n"), "the header row has the column name twice");
    assert!(error(&b"x".repeat(MAX_ROW_BYTES + 1)).starts_with("the header row is longer"));
    assert!(error(&b"x,".repeat(MAX_COLUMNS + 1)).starts_with("the header row is longer"));
    let missing = PartnerReader::open("no/such/file.csv").unwrap_err();
    assert!(matches!(missing, OpenError::Io(_)));
}

#[test]
fn bad_rows_are_reported_and_reading_goes_on() {
    let text = b"externalId,name,country\n1,A,CH\n2,B\n3,C,CH,x\n4,\xff,CH\n5,E,CH\n";
    let rows = read(text);
    assert_eq!(names(&rows), ["A", "!3", "!4", "!5", "E"]);
    let error = rows[1].as_ref().unwrap_err();
    assert_eq!(error.external_id.as_deref(), Some("2"));
    assert_eq!(error.message, "the row has 2 fields, the header row has 3");
    assert_eq!(rows[3].as_ref().unwrap_err().message, "name is not UTF-8");
    let validation = error.to_validation();
    assert!(validation.failed());
    assert_eq!(validation.rules(), ["ROW_UNREADABLE"]);
}

#[test]
fn a_quote_that_is_not_closed_costs_one_row() {
    let mut text = b"externalId,name,country\n1,\"A,CH\n2,B,CH\n3,\"C\nD\",CH\n4,\"E,CH\n".to_vec();
    for _ in 0..20_000 {
        text.extend_from_slice(b"5,F,CH\n");
    }
    let rows = read(&text);
    assert_eq!(names(&rows[..5]), ["!2", "B", "C\nD", "!6", "F"]);
    assert_eq!(rows.len(), 4 + 20_000);
    let pair = read(b"externalId,name,country\n1,\"A,CH\n2,B,CH\n3,\"C,CH\n4,D,CH\n");
    assert_eq!(names(&pair), ["!2", "B", "!4", "D"]);
    let end = read(b"externalId,name,country\n1,A,CH\n2,\"B,CH\n3,C,CH");
    assert_eq!(names(&end), ["A", "!3", "C"]);
}

#[test]
fn quotes_are_judged_by_the_standard() {
    for row in ["a,b", "\"a\nb\",c\n", "\"a\"\"b\",\"\"\r\n", "a\"b,c", "\"\""] {
        assert!(well_quoted(row.as_bytes(), b','), "{row}");
    }
    for row in ["\"a,b", "a,\"b\"c,d", "\"a\" ,b", "\"\"\""] {
        assert!(!well_quoted(row.as_bytes(), b','), "{row}");
    }
}

#[test]
fn a_row_that_is_too_long_is_a_bad_row() {
    let long = "x".repeat(5 * Source::<&[u8]>::CAPACITY);
    let text = format!("externalId,name,country\n1,{long},CH\n2,B,CH\n");
    assert_eq!(names(&read(text.as_bytes())), ["!2", "B"]);
    let fields = ",".repeat(MAX_COLUMNS + 1);
    let text = format!("externalId,name,country\n1{fields}\n2,B,CH\n");
    assert_eq!(names(&read(text.as_bytes())), ["!2", "B"]);
}

#[test]
fn a_reading_error_is_the_last_row() {
    struct Broken(&'static [u8]);
    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::other("disk on fire")),
                bytes => Ok(bytes),
            }
        }
    }
    assert!(matches!(PartnerReader::new(Broken(b"")), Err(OpenError::Io(_))));
    let long = [b"externalId,name,country\n", &b"1,A,CH\n".repeat(50_000)[..]].concat();
    let mut rows = PartnerReader::new(Broken(long.leak())).unwrap();
    let error = rows.find_map(Result::err).unwrap();
    assert!(error.fatal);
    assert_eq!(error.message, "cannot read on: disk on fire");
    assert!(rows.next().is_none());
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(reader) = PartnerReader::new(bytes.as_slice()) {
            prop_assert!(reader.count() <= bytes.len());
        }
        let mut text = b"externalId,name,country\n".to_vec();
        text.extend_from_slice(&bytes);
        let rows = PartnerReader::new(text.as_slice()).unwrap().count();
        prop_assert!(rows <= bytes.len());
    }

    #[test]
    fn rows_of_likely_trouble_are_read_without_loss_of_a_line(text in "([ab,\"\r\n]|ok,ok,CH\n){0,60}") {
        let text = format!("externalId,name,country\n{text}\nlast,last,CH\n");
        let rows = PartnerReader::new(text.as_bytes()).unwrap();
        let mut line = 1;
        for row in rows {
            if let Err(error) = row {
                prop_assert!(error.line > line || error.line == line && text.contains('\r'));
                line = error.line;
                prop_assert!(!error.fatal);
            }
        }
    }

    #[test]
    fn what_is_written_is_read_again(fields in proptest::collection::vec("\\PC{0,12}|[,\";\r\n a-z]{0,8}", 12)) {
        let mut partner = Partner::default();
        for (index, field) in fields.iter().enumerate() {
            partner.set(index, field);
        }
        let mut writer = PartnerWriter::new(Vec::new()).unwrap();
        writer.write(&partner).unwrap();
        writer.write(&partner).unwrap();
        let bytes = writer.finish().unwrap();
        let rows = read(&bytes);
        prop_assert_eq!(rows, vec![Ok(partner.clone()), Ok(partner)]);
    }
}

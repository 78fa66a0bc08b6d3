//! The faces: translation between the network and the table of operations, and nothing else.

mod common;
pub mod docs;
pub mod listener;
pub mod openapi;
pub mod rest;
pub mod soap;

/// How answers name a text: as a member in JSON, and as an element in SOAP. By this kept answers are found again.
pub(crate) fn kept_forms(field: &str, text: &str) -> Vec<Vec<u8>> {
    let json = format!("\"{field}\":{}", serde_json::Value::from(text));
    let mut xml = format!("<{field}>").into_bytes();
    soap::escape(text, &mut xml);
    xml.extend_from_slice(format!("</{field}>").as_bytes());
    vec![json.into_bytes(), xml]
}

#[cfg(test)]
mod tests {
    use super::kept_forms;

    #[test]
    fn a_text_is_looked_for_as_answers_name_it() {
        let forms = kept_forms("externalId", "a<\"\\&ü");
        let forms: Vec<_> = forms.into_iter().map(|form| String::from_utf8(form).expect("UTF-8")).collect();
        let answer = serde_json::json!({"externalId": "a<\"\\&ü"}).to_string();
        assert!(answer.contains(&forms[0]), "{forms:?}");
        assert_eq!(forms[1], "<externalId>a&lt;&quot;\\&amp;ü</externalId>");
    }
}

//! What programs read of a probe.

use super::{finding::Step, report::Report};
use serde_json::{Map, Value, json};

/// The report, in one line of JSON. Times are seconds; what is not known is absent.
pub(super) fn render(report: &Report) -> String {
    let addresses: Vec<Value> = report
        .places
        .iter()
        .map(|place| {
            json!({
                "address": place.address.to_string(),
                "family": if place.address.is_ipv4() { "ipv4" } else { "ipv6" },
                "reachable": !place.is_out_of_reach,
                "steps": place.steps.iter().map(step).collect::<Vec<_>>(),
            })
        })
        .collect();
    let mut whole = Map::new();
    whole.insert("url".to_owned(), json!(report.url));
    whole.insert("result".to_owned(), json!(report.worst().word()));
    if let Some(name) = &report.name {
        whole.insert("name".to_owned(), step(name));
    }
    whole.insert("addresses".to_owned(), json!(addresses));
    format!("{}\n", Value::Object(whole))
}

fn step(step: &Step) -> Value {
    let mut fields = Map::new();
    fields.insert("step".to_owned(), json!(step.name));
    if let Some(which) = step.client {
        fields.insert("client".to_owned(), json!(which.number()));
    }
    fields.insert("result".to_owned(), json!(step.mark().word()));
    if let Some(took) = step.took {
        fields.insert("seconds".to_owned(), json!(took.as_secs_f64()));
    }
    if !step.told.is_empty() {
        fields.insert("told".to_owned(), json!(step.told));
    }
    let findings =
        step.findings.iter().map(|found| json!({ "result": found.mark.word(), "text": found.text }));
    fields.insert("findings".to_owned(), findings.collect());
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::super::{finding::Place, party::Which};
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_report_is_one_line() {
        let announce =
            Step::new("announce", Some(Which::First)).took(Duration::from_millis(12)).told("1 seeder");
        let place = Place {
            address: "[2001:db8::1]:6969".parse().unwrap(),
            steps: vec![announce.note("odd"), Step::new("scrape", None).wrong("no")],
            is_out_of_reach: false,
        };
        let report = Report { url: "udp://a:6969".to_owned(), name: None, places: vec![place] };
        assert_eq!(
            render(&report),
            concat!(
                r#"{"url":"udp://a:6969","result":"wrong","addresses":[{"address":"[2001:db8::1]:6969","family":"ipv6","#,
                r#""reachable":true,"steps":[{"step":"announce","client":1,"result":"note","seconds":0.012,"told":"1 seeder","#,
                r#""findings":[{"result":"note","text":"odd"}]},{"step":"scrape","result":"wrong","#,
                r#""findings":[{"result":"wrong","text":"no"}]}]}]}"#,
                "\n"
            )
        );
    }
}

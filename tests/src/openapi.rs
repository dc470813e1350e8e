//! `docs/openapi.json`, and whether an answer is what it describes: as much of JSON Schema as that page uses, and stricter
//! in one thing, since no field of an answer may be missing from the page.

use crate::net::workspace;
use serde_json::{Map, Value};

/// What a schema may say. Whatever else it says would be looked at by nobody.
const KEYWORDS: [&str; 8] =
    ["type", "enum", "required", "properties", "items", "description", "$ref", "pattern"];

/// The page.
pub struct OpenApi(Value);

impl OpenApi {
    /// Reads it.
    #[must_use]
    pub fn read() -> Self {
        let path = workspace().join("docs/openapi.json");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self(serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    /// Every path and method, as in `GET /status`.
    #[must_use]
    pub fn operations(&self) -> Vec<String> {
        let paths = self.0["paths"].as_object().expect("paths");
        let of = |(path, methods): (&String, &Value)| {
            let methods = methods.as_object().expect("methods").keys().cloned();
            methods.map(|method| format!("{} {path}", method.to_ascii_uppercase())).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = paths.iter().flat_map(of).collect();
        all.sort();
        all
    }

    /// What is wrong with this answer to an operation, as in `GET /status`; nothing if it is as described.
    #[must_use]
    pub fn problems(&self, operation: &str, status: u16, body: &Value) -> Vec<String> {
        self.problems_of(operation, status, "application/json", body)
    }

    /// The same for an answer of another type of content.
    #[must_use]
    pub fn problems_of(&self, operation: &str, status: u16, content: &str, body: &Value) -> Vec<String> {
        let (method, path) = operation.split_once(' ').expect("a method and a path");
        let responses = &self.0["paths"][path][method.to_ascii_lowercase()]["responses"];
        let described = match &responses[status.to_string()] {
            Value::Null => &responses["default"],
            described => described,
        };
        let schema = &self.resolve(described)["content"][content]["schema"];
        let mut problems = Vec::new();
        if schema.is_object() {
            self.check(schema, body, operation, &mut problems);
        } else {
            problems.push(format!("{operation} has no schema for status {status}"));
        }
        problems
    }

    /// Follows a `$ref`.
    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(place) => {
                let found = self.0.pointer(place.trim_start_matches('#'));
                self.resolve(found.unwrap_or_else(|| panic!("{place} is not there")))
            }
            None => value,
        }
    }

    fn check(&self, schema: &Value, value: &Value, place: &str, problems: &mut Vec<String>) {
        let schema = self.resolve(schema).as_object().expect("a schema");
        for keyword in schema.keys().filter(|keyword| !KEYWORDS.contains(&keyword.as_str())) {
            problems.push(format!("{place}: nobody looks at {keyword}"));
        }
        let mut types = match &schema["type"] {
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            one => vec![one.as_str().expect("a type")],
        }
        .into_iter();
        if !types.any(|name| is_of_type(name, value)) {
            return problems.push(format!("{place}: {value} is no {}", schema["type"]));
        }
        if let Some(Value::Array(permitted)) = schema.get("enum")
            && !permitted.contains(value)
        {
            problems.push(format!("{place}: {value} is none of {permitted:?}"));
        }
        match value {
            Value::Object(fields) => self.check_fields(schema, fields, place, problems),
            Value::Array(items) => {
                let of_items = schema.get("items").expect("an array's items");
                for (number, item) in items.iter().enumerate() {
                    self.check(of_items, item, &format!("{place}[{number}]"), problems);
                }
            }
            _ => {}
        }
    }

    fn check_fields(
        &self,
        schema: &Map<String, Value>,
        fields: &Map<String, Value>,
        place: &str,
        problems: &mut Vec<String>,
    ) {
        let required = schema.get("required").and_then(Value::as_array).expect("an object's required fields");
        for name in required.iter().filter_map(Value::as_str).filter(|name| !fields.contains_key(*name)) {
            problems.push(format!("{place}: {name} is not there"));
        }
        let described = schema.get("properties").and_then(Value::as_object).expect("an object's fields");
        for (name, value) in fields {
            match described.get(name) {
                Some(schema) => self.check(schema, value, &format!("{place}.{name}"), problems),
                None => problems.push(format!("{place}: {name} is not described")),
            }
        }
    }
}

fn is_of_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("a type {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whatever_differs_is_found() {
        let api = OpenApi(json!({
            "paths": { "/a": { "get": { "responses": {
                "200": { "content": { "application/json": { "schema": { "$ref": "#/schemas/A" } } } },
                "default": { "$ref": "#/responses/E" }
            } } } },
            "responses": { "E": { "content": { "application/json": { "schema": {
                "type": "object", "required": [], "properties": { "error": { "type": "string" } }
            } } } } },
            "schemas": { "A": { "type": "object", "required": ["n"], "properties": {
                "n": { "type": "integer" },
                "list": { "type": "array", "items": { "type": ["string", "null"], "enum": ["x", null] } }
            } } }
        }));
        assert_eq!(api.operations(), ["GET /a"]);
        let found = |body: Value| api.problems("GET /a", 200, &body);
        assert!(found(json!({ "n": 1, "list": ["x", null] })).is_empty());
        assert!(found(json!({ "n": 1 })).is_empty());
        for (body, problem) in [
            (json!({}), "n is not there"),
            (json!({ "n": "1" }), "is no \"integer\""),
            (json!({ "n": 1, "m": 2 }), "m is not described"),
            (json!({ "n": 1, "list": ["y"] }), "list[0]: \"y\" is none of"),
            (json!([]), "is no \"object\""),
        ] {
            let problems = found(body);
            assert!(problems.len() == 1 && problems[0].contains(problem), "{problems:?}");
        }
        assert!(api.problems("GET /a", 500, &json!({ "error": "no" })).is_empty());
        assert_eq!(api.problems("GET /a", 500, &json!({ "fault": "no" })).len(), 1);
    }
}

//! A value as a source gave it, before it has a type: from the file, the environment or a flag alike.

use toml::de::DeValue;

/// An untyped value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    /// A string.
    Text(String),
    /// Text from outside a file, which may stand for a string, a number or a Boolean.
    Untyped(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction, as it was written.
    Decimal(String),
    /// `true` or `false`.
    Boolean(bool),
    /// An array.
    List(Vec<Raw>),
    /// A kind of value that no key takes, by its name.
    Other(&'static str),
}

impl Raw {
    /// What a TOML value says.
    pub(super) fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => {
                let digits = number.as_str().replace('_', "");
                i64::from_str_radix(&digits, number.radix())
                    .map_or(Self::Other("integer out of range"), Self::Integer)
            }
            DeValue::Float(number) => Self::Decimal(number.as_str().replace('_', "")),
            DeValue::Boolean(value) => Self::Boolean(*value),
            DeValue::Array(items) => Self::List(items.iter().map(|i| Self::from_toml(i.get_ref())).collect()),
            other => Self::Other(other.type_str()),
        }
    }

    /// What a TOML literal says, such as `["a", "b"]`.
    pub(super) fn from_literal(literal: &str) -> Result<Self, String> {
        DeValue::parse(literal).map(|v| Self::from_toml(v.get_ref())).map_err(|e| e.message().to_owned())
    }

    /// What this is, for an error.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Text(text) | Self::Untyped(text) => format!("the string \"{text}\""),
            Self::Integer(number) => format!("the number {number}"),
            Self::Decimal(text) => format!("the number {text}"),
            Self::Boolean(value) => format!("`{value}`"),
            Self::List(_) => "a list".to_owned(),
            Self::Other(name) => format!("a value of type {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_literals_keep_their_kind() {
        assert_eq!(Raw::from_literal("\"a\""), Ok(Raw::Text("a".into())));
        assert_eq!(Raw::from_literal("1_000"), Ok(Raw::Integer(1000)));
        assert_eq!(Raw::from_literal("0x10"), Ok(Raw::Integer(16)));
        assert_eq!(Raw::from_literal("-3"), Ok(Raw::Integer(-3)));
        assert_eq!(Raw::from_literal("true"), Ok(Raw::Boolean(true)));
        assert_eq!(
            Raw::from_literal("[1, \"b\"]"),
            Ok(Raw::List(vec![Raw::Integer(1), Raw::Text("b".into())]))
        );
        assert_eq!(Raw::from_literal("1.5"), Ok(Raw::Decimal("1.5".into())));
        assert!(Raw::from_literal("[1").is_err());
    }
}

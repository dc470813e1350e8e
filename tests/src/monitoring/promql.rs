//! As much of PromQL as it takes to know what an expression asks for: its selectors, and the labels that it groups and
//! matches by.

/// What an expression asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Selectors, in order.
    pub selectors: Vec<Selector>,
    /// Labels of `by`, `without`, `on`, `ignoring`, `group_left` and `group_right`.
    pub labels: Vec<String>,
}

/// A metric, and which of its series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The metric's name.
    pub metric: String,
    /// Conditions on labels.
    pub matchers: Vec<Matcher>,
}

/// A condition on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    /// The label.
    pub label: String,
    /// `=`, `!=`, `=~` or `!~`.
    pub operator: String,
    /// The value, or the expression of values.
    pub value: String,
}

impl Matcher {
    /// The values that it names: of an expression, each of its alternatives.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        let is_expression = self.operator.ends_with('~');
        self.value.split(move |c| is_expression && c == '|')
    }
}

/// Words that a list of labels follows.
const BEFORE_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// Words that are neither metrics nor calls.
const OTHER_WORDS: [&str; 9] = ["and", "or", "unless", "offset", "bool", "sum", "min", "max", "count"];

/// Reads an expression.
#[must_use]
pub fn read(expression: &str) -> Asked {
    let mut asked = Asked::default();
    let mut tokens = tokens(expression).into_iter().peekable();
    while let Some(token) = tokens.next() {
        let Token::Word(word) = token else {
            assert_ne!(token, Token::Mark("{".to_owned()), "a selector without a name: {expression}");
            continue;
        };
        if BEFORE_LABELS.contains(&word.as_str()) {
            let list = tokens.by_ref().skip(1).take_while(|token| *token != Token::Mark(")".to_owned()));
            asked.labels.extend(list.filter_map(Token::into_word));
        } else if !OTHER_WORDS.contains(&word.as_str()) && !tokens.peek().is_some_and(|it| it.is("(")) {
            let mut matchers = Vec::new();
            if tokens.next_if(|token| token.is("{")).is_some() {
                let inside: Vec<Token> = tokens.by_ref().take_while(|token| !token.is("}")).collect();
                matchers.extend(inside.split(|token| token.is(",")).map(|parts| match parts {
                    [Token::Word(label), Token::Mark(operator), Token::Text(value)] => {
                        Matcher { label: label.clone(), operator: operator.clone(), value: value.clone() }
                    }
                    other => panic!("no matcher: {other:?} in {expression}"),
                }));
            }
            asked.selectors.push(Selector { metric: word, matchers });
        }
    }
    asked
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Mark(String),
}

impl Token {
    fn is(&self, mark: &str) -> bool {
        matches!(self, Self::Mark(it) if it == mark)
    }

    fn into_word(self) -> Option<String> {
        match self {
            Self::Word(word) => Some(word),
            Self::Text(_) | Self::Mark(_) => None,
        }
    }
}

/// Without numbers, durations, and what stands in brackets.
fn tokens(expression: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let mut length = match first {
            '"' => rest[1..].find('"').map_or_else(|| panic!("no end: {rest}"), |end| end + 2),
            '[' => rest.find(']').map_or_else(|| panic!("no end: {rest}"), |end| end + 1),
            '=' | '!' if rest[1..].starts_with(['=', '~']) => 2,
            c if is_of_word(c) => rest.find(|c| !is_of_word(c) && c != '.').unwrap_or(rest.len()),
            _ => 1,
        };
        length = length.max(first.len_utf8());
        let (token, behind) = rest.split_at(length);
        match first {
            '[' => {}
            c if c.is_ascii_digit() => {}
            '"' => tokens.push(Token::Text(token.trim_matches('"').to_owned())),
            c if is_of_word(c) => tokens.push(Token::Word(token.to_owned())),
            _ => tokens.push(Token::Mark(token.to_owned())),
        }
        rest = behind.trim_start();
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(metric: &str, matchers: &[(&str, &str, &str)]) -> Selector {
        let matchers = matchers.iter().map(|(label, operator, value)| Matcher {
            label: (*label).to_owned(),
            operator: (*operator).to_owned(),
            value: (*value).to_owned(),
        });
        Selector { metric: metric.to_owned(), matchers: matchers.collect() }
    }

    #[test]
    fn selectors_and_labels_are_found() {
        for (expression, selectors, labels) in [
            ("up == 0", vec![selector("up", &[])], vec![]),
            (
                "sum by (a, b) (rate(x_total{c=\"d, e\", f!~\"g|h\"}[5m] offset 1h)) > 0.5",
                vec![selector("x_total", &[("c", "=", "d, e"), ("f", "!~", "g|h")])],
                vec!["a", "b"],
            ),
            (
                "1 - x{a!=\"b\"} / on (c) group_left () (y > 10) and time() - vector(1e3) < bool z[$__range]",
                vec![selector("x", &[("a", "!=", "b")]), selector("y", &[]), selector("z", &[])],
                vec!["c"],
            ),
            ("topk(10, sum(a:b) without (c))", vec![selector("a:b", &[])], vec!["c"]),
        ] {
            let asked = read(expression);
            assert_eq!(asked.selectors, selectors, "{expression}");
            assert_eq!(asked.labels, labels, "{expression}");
        }
    }

    #[test]
    fn alternatives_are_values() {
        let asked = read("x{a=~\"b|c\", d=\"e|f\"}");
        let values: Vec<Vec<&str>> =
            asked.selectors[0].matchers.iter().map(|matcher| matcher.values().collect()).collect();
        assert_eq!(values, [vec!["b", "c"], vec!["e|f"]]);
    }
}

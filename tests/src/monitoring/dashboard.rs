//! The dashboard, as its file has it.

use super::{placeholders, read_file};
use serde_json::Value;

/// Where it is.
pub const DASHBOARD: &str = "packaging/grafana/riptide.json";

/// The dashboard.
pub struct Dashboard(Value);

/// A place in the grid.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Columns from the left.
    pub x: u64,
    /// Rows from the top.
    pub y: u64,
    /// Columns.
    pub width: u64,
    /// Rows.
    pub height: u64,
}

impl Place {
    /// Whether two share a cell.
    #[must_use]
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.x < other.x + other.width
            && other.x < self.x + self.width
            && self.y < other.y + other.height
            && other.y < self.y + self.height
    }
}

/// One panel.
pub struct Panel<'a>(&'a Value);

impl Panel<'_> {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> u64 {
        number(&self.0["id"])
    }

    /// Its title, and the number that tells it from others of the same title.
    #[must_use]
    pub fn name(&self) -> String {
        format!("panel {} {:?}", self.id(), self.title())
    }

    /// Its title.
    #[must_use]
    pub fn title(&self) -> &str {
        text(&self.0["title"])
    }

    /// What is said of it.
    #[must_use]
    pub fn description(&self) -> &str {
        text(&self.0["description"])
    }

    /// Whether it is only the head of those that follow.
    #[must_use]
    pub fn is_row(&self) -> bool {
        self.0["type"] == "row"
    }

    /// The unit of its values.
    #[must_use]
    pub fn unit(&self) -> &str {
        text(&self.0["fieldConfig"]["defaults"]["unit"])
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> Place {
        let grid = &self.0["gridPos"];
        let [x, y, width, height] = ["x", "y", "w", "h"].map(|key| number(&grid[key]));
        Place { x, y, width, height }
    }

    /// What it asks for: the expression, the labels that its legend names, and where it is asked.
    #[must_use]
    pub fn queries(&self) -> Vec<Query> {
        let targets = self.0["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        let query = |target: &Value| Query {
            expression: text(&target["expr"]).to_owned(),
            legend: placeholders(text(&target["legendFormat"])).map(str::to_owned).collect(),
            source: text(&target["datasource"]["uid"]).to_owned(),
        };
        targets.iter().map(query).collect()
    }
}

/// A query.
#[derive(Clone, Debug)]
pub struct Query {
    /// In PromQL, with Grafana's variables.
    pub expression: String,
    /// Labels that the legend names.
    pub legend: Vec<String>,
    /// The source of data.
    pub source: String,
}

impl Dashboard {
    /// Reads it.
    #[must_use]
    pub fn read() -> Self {
        let text = read_file(DASHBOARD);
        Self(serde_json::from_str(&text).unwrap_or_else(|e| panic!("{DASHBOARD}: {e}")))
    }

    /// Its panels, rows among them.
    pub fn panels(&self) -> impl Iterator<Item = Panel<'_>> {
        self.0["panels"].as_array().expect("panels").iter().map(Panel)
    }

    /// The names of its variables.
    #[must_use]
    pub fn variables(&self) -> Vec<&str> {
        let list = self.0["templating"]["list"].as_array().expect("variables");
        list.iter().map(|variable| text(&variable["name"])).collect()
    }

    /// Every query with the place where it stands: of panels, and of annotations.
    #[must_use]
    pub fn queries(&self) -> Vec<(String, Query)> {
        let of_panels = self.panels().flat_map(|panel| {
            let name = panel.name();
            panel.queries().into_iter().map(move |query| (name.clone(), query)).collect::<Vec<_>>()
        });
        let annotations = self.0["annotations"]["list"].as_array().expect("annotations");
        let of_annotations = annotations.iter().map(|annotation| {
            let query = Query {
                expression: text(&annotation["expr"]).to_owned(),
                legend: placeholders(text(&annotation["titleFormat"])).map(str::to_owned).collect(),
                source: text(&annotation["datasource"]["uid"]).to_owned(),
            };
            (format!("annotation {}", annotation["name"]), query)
        });
        of_panels.chain(of_annotations).collect()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_overlap_where_they_share_a_cell() {
        let place = |x, y, width, height| Place { x, y, width, height };
        let one = place(4, 4, 4, 4);
        for (other, expected) in [
            (one, true),
            (place(7, 7, 1, 1), true),
            (place(0, 0, 24, 24), true),
            (place(8, 4, 4, 4), false),
            (place(4, 8, 4, 4), false),
            (place(0, 4, 4, 4), false),
            (place(4, 0, 4, 4), false),
        ] {
            assert_eq!((one.overlaps(&other), other.overlaps(&one)), (expected, expected), "{other:?}");
        }
    }
}

//! A configuration as it was read, with all that is wrong with it.

use super::{
    error::{ConfigError, ConfigErrors, Warning},
    keys::Config,
    layers::Values,
};

/// What was read.
pub struct Loaded {
    /// The configuration, if every value is of its kind. There may be [`Self::errors`] all the same.
    pub config: Option<Config>,
    /// What is wrong.
    pub errors: Vec<ConfigError>,
    /// What is odd.
    pub warnings: Vec<Warning>,
    values: Values,
}

impl Loaded {
    pub(super) fn new(config: Option<Config>, mut values: Values) -> Self {
        let (errors, warnings) = (std::mem::take(&mut values.errors), std::mem::take(&mut values.warnings));
        Self { config, errors, warnings, values }
    }

    /// Notes what is wrong with what a key names.
    pub fn wrong(&mut self, table: &'static str, key: &'static str, reason: String) {
        let place = self.values.place(table, key);
        self.errors.push(ConfigError::Value { place, key: format!("{table}.{key}"), reason });
    }

    /// The configuration and what is odd about it, for whoever looks at nothing that it names.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn whole(self) -> Result<(Config, Vec<Warning>), ConfigErrors> {
        match self.config {
            Some(config) if self.errors.is_empty() => Ok((config, self.warnings)),
            _ => Err(ConfigErrors(self.errors)),
        }
    }
}

//! The macro that turns the one declaration of all keys into the typed [`super::Config`], the reader that fills it,
//! the comparison for a reload, and the table that documentation is written from.

/// The name of a table: that of its field, unless it lies in another table.
macro_rules! table_name {
    (tls_acme) => {
        "tls.acme"
    };
    ($table:ident) => {
        stringify!($table)
    };
}
pub(super) use table_name;

/// Declares the configuration: for each table its documentation, name and struct; for each key its documentation,
/// name, type, default as a TOML literal, kind, and when a change of it takes effect. A table that lies in another one has
/// its whole name in `table_name`.
macro_rules! declare {
    ($(
        $(#[doc = $table_doc:literal])*
        [$table:ident] $Struct:ident {
            $(
                $(#[doc = $doc:literal])*
                $name:ident: $Type:ty = $default:literal, $kind:expr, $apply:ident;
            )*
        }
    )*) => {
        /// The whole configuration: typed, checked, immutable.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config {
            $( $(#[doc = $table_doc])* pub $table: $Struct, )*
        }

        $(
            $(#[doc = $table_doc])*
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $Struct {
                $( $(#[doc = $doc])* pub $name: $Type, )*
            }
        )*

        impl Config {
            /// Reads every key, noting what is wrong with any of them; `None` if anything is.
            pub(super) fn read(values: &mut $crate::config::layers::Values) -> Option<Self> {
                $(
                    // Each key is read before any is asked for, so that every error is found.
                    let $table = {
                        $( let $name: Option<$Type> = values.read(table_name!($table), stringify!($name), $default, &$kind); )*
                        (|| Some($Struct { $( $name: $name?, )* }))()
                    };
                )*
                Some(Self { $( $table: $table?, )* })
            }

            /// The keys whose values differ between two configurations, in the order of the declaration.
            #[must_use]
            pub fn changed_keys(old: &Self, new: &Self) -> Vec<Change> {
                let mut changes = Vec::new();
                $( $(
                    if old.$table.$name != new.$table.$name {
                        let (table, key) = (table_name!($table), stringify!($name));
                        changes.push(Change { table, key, apply: Apply::$apply });
                    }
                )* )*
                changes
            }
        }

        /// Every table and key.
        pub(super) fn tables() -> Vec<Table> {
            vec![ $( Table {
                name: table_name!($table),
                doc: &[ $( $table_doc ),* ],
                keys: vec![ $(
                    Key::new::<$Type>(stringify!($name), $default, &[ $( $doc ),* ], &$kind, Apply::$apply),
                )* ],
            }, )* ]
        }
    };
}
pub(super) use declare;

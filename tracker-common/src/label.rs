//! Enumerations whose members metrics tell apart by a label.

/// What [`crate::labelled!`] declares, for code that counts any of them.
pub trait Labelled: Copy + 'static {
    /// Every member, in the order of their numbers, which begin at 0.
    const ALL: &'static [Self];

    /// The value of the label in metrics.
    fn label(self) -> &'static str;

    /// Its place in [`Labelled::ALL`].
    fn number(self) -> usize;
}

/// Declares an enumeration with a label for each member: `Member = "label",`. It has `ALL` and `label` of its own as well,
/// usable where constants are.
#[macro_export]
macro_rules! labelled {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $Name:ident {
            $( $(#[$of_member:meta])* $Member:ident = $label:literal, )+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $visibility enum $Name { $( $(#[$of_member])* $Member, )+ }

        impl $Name {
            /// Every member, in the order of their numbers, which begin at 0.
            $visibility const ALL: [Self; <[&str]>::len(&[$($label),+])] = [$(Self::$Member),+];

            /// The value of the label in metrics.
            #[must_use]
            $visibility const fn label(self) -> &'static str {
                match self { $(Self::$Member => $label,)+ }
            }
        }

        impl $crate::label::Labelled for $Name {
            const ALL: &'static [Self] = &Self::ALL;

            fn label(self) -> &'static str {
                self.label()
            }

            fn number(self) -> usize {
                self as usize
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::Labelled;

    labelled! {
        /// Three.
        enum Three {
            /// One.
            One = "one",
            /// Another.
            Other = "the_other",
            /// The last.
            Last = "last",
        }
    }

    #[test]
    fn members_have_places_and_labels() {
        assert_eq!(Three::ALL.map(Three::label), ["one", "the_other", "last"]);
        assert_eq!(Three::ALL.map(Labelled::number), [0, 1, 2]);
        assert_eq!(<Three as Labelled>::ALL, Three::ALL);
    }
}

//! Ids of things that this server makes: UUIDs of version 7, in lower case with hyphens.

/// Defines an id. A text that is not a UUID reads as the id that nothing has, so that it answers like an unknown one.
macro_rules! uuid_id {
    ($(#[doc = $doc:literal])+ $name:ident, $description:literal, $example:literal) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub uuid::Uuid);

        impl $name {
            /// The id that nothing has. A text that is not a UUID reads as this one, so that it answers like an unknown id.
            pub const NONE: $name = $name(uuid::Uuid::nil());
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::convert::Infallible;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(uuid::Uuid::try_parse(text).map_or($name::NONE, $name))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .format(Some(SchemaFormat::Custom("uuid".to_owned())))
                    .description(Some($description))
                    .examples([$example])
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}
pub(crate) use uuid_id;

#[cfg(test)]
mod tests {
    use crate::job::JobId;

    #[test]
    fn a_malformed_id_is_an_unknown_one() {
        assert_eq!("no-uuid".parse(), Ok(JobId::NONE));
    }
}

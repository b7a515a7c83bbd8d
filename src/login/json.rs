//! Selected members of a JSON object, without copies of the others.
//!
//! serde's derive is not used: it accepts an array for a struct, it cannot tell a member of the wrong type from a missing
//! one, and its errors for unexpected types link a printer of floating-point numbers, 20 kB.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::de::Read;

/// Parses a body that is exactly one JSON object.
pub fn read_object<'a, R: Read<'a>, M: Members>(
    mut json: serde_json::Deserializer<R>,
    members: &'a mut M,
) -> serde_json::Result<()> {
    json.deserialize_any(Object(members))?;
    json.end()
}

/// The visitor's methods for values that are neither string, array nor object.
macro_rules! for_scalars {
    ($visitor:ident, $result:expr) => {
        fn visit_unit<E: Error>($visitor) -> Result<(), E> {
            $result
        }
        fn visit_bool<E: Error>($visitor, _: bool) -> Result<(), E> {
            $result
        }
        fn visit_i64<E: Error>($visitor, _: i64) -> Result<(), E> {
            $result
        }
        fn visit_u64<E: Error>($visitor, _: u64) -> Result<(), E> {
            $result
        }
        fn visit_f64<E: Error>($visitor, _: f64) -> Result<(), E> {
            $result
        }
    };
}

fn no_object<E: Error>() -> Result<(), E> {
    Err(E::custom("no object"))
}

/// Selects members of an object, and receives their values.
pub trait Members {
    fn wants(&self, name: &str) -> bool;
    fn string(&mut self, value: &str);
    fn other(&mut self);
}

struct Object<'a, M>(&'a mut M);

impl<'de, M: Members> Visitor<'de> for Object<'_, M> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    for_scalars!(self, no_object());

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        no_object()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        no_object()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(wanted) = map.next_key_seed(Key(&*self.0))? {
            if wanted {
                map.next_value_seed(Value(&mut *self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct Key<'a, M>(&'a M);

impl<'de, M: Members> DeserializeSeed<'de> for Key<'_, M> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_str(self)
    }
}

impl<M: Members> Visitor<'_> for Key<'_, M> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        Ok(self.0.wants(name))
    }
}

struct Value<'a, M>(&'a mut M);

impl<'de, M: Members> DeserializeSeed<'de> for Value<'_, M> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, M: Members> Visitor<'de> for Value<'_, M> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.0.string(value);
        Ok(())
    }

    for_scalars!(self, {
        self.0.other();
        Ok(())
    });

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        self.0.other();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.0.other();
        Ok(())
    }
}

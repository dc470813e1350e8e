//! What clients send: from JSON text to requests.
//!
//! A message is read in two stages. The first finds the fields and leaves their values as the text they are; the
//! second reads each field by itself, so that a failure can name it. Offers and answers stay text: they are checked to
//! be JSON objects and handed on as they came.

pub use super::text::Fault;
use super::text::{check_relayed, is_word, twenty_bytes};
use crate::model::{Event, InfoHash, PeerId};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::{fmt, marker::PhantomData, ops::Range};

/// Names an offer; its sender makes it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferId(pub [u8; 20]);

/// An offer inside the text of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What its sender calls it.
    pub id: OfferId,
    /// Where its JSON object is in the message, in bytes.
    pub json: Range<usize>,
}

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// To be in a swarm, or out of it. The offers are in [`Lists::offers`].
    Announce(Announce),
    /// To hand an answer to the peer that sent an offer.
    Answer(Answer<'a>),
    /// For the counts of the torrents in [`Lists::hashes`]: the info hash where it asks for one alone.
    Scrape(Option<InfoHash>),
}

/// A peer tells of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Who it is in this torrent.
    pub peer_id: PeerId,
    /// Why it announces.
    pub event: Event,
    /// Bytes it still has to get; `u64::MAX` where it does not know.
    pub left: u64,
}

/// The answer to an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Who answers.
    pub peer_id: PeerId,
    /// Who sent the offer.
    pub to_peer_id: PeerId,
    /// Which offer.
    pub offer_id: OfferId,
    /// The answer's JSON object.
    pub json: &'a str,
}

/// The parts of a request of which there may be many; reused from message to message.
#[derive(Debug, Default)]
pub struct Lists {
    /// At most one for each peer that the client wants, and at most [`Limits::offers`].
    pub offers: Vec<Offer>,
    /// Distinct and sorted, at most [`Limits::hashes`].
    pub hashes: Vec<InfoHash>,
}

/// How much of a message is kept; the rest is ignored.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Offers of one announce.
    pub offers: usize,
    /// Info hashes of one scrape.
    pub hashes: usize,
}

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// An announce or an answer.
    Announce,
    /// A scrape.
    Scrape,
}

impl Action {
    /// The word for it on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Announce => "announce",
            Self::Scrape => "scrape",
        }
    }
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is binary.
    #[error("message: not a text frame")]
    NotText,
    /// It is no JSON.
    #[error("message: not valid JSON")]
    NotJson,
    /// It is JSON, but no object.
    #[error("message: not a JSON object")]
    NotAnObject,
    /// A field cannot be read.
    #[error("{0}: {1}")]
    Field(Field, Fault),
    /// An item of a field cannot be read; the first one is 0.
    #[error("{0}[{1}]: {2}")]
    Item(Field, usize, Fault),
    /// A field of an item cannot be read.
    #[error("{0}[{1}].{2}: {3}")]
    ItemField(Field, usize, Field, Fault),
}

/// A message that is no request, and what of it goes into the failure that answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What it was for, as far as that can be told.
    pub action: Option<Action>,
    /// The torrent, as far as that can be told.
    pub info_hash: Option<InfoHash>,
    /// What is wrong.
    pub malformed: Malformed,
}

/// The fields that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names on the wire")]
pub enum Field {
    Action,
    InfoHash,
    PeerId,
    Event,
    Left,
    NumWant,
    Offers,
    Offer,
    OfferId,
    Answer,
    ToPeerId,
}

impl Field {
    const ALL: [Self; 11] = [
        Self::Action,
        Self::InfoHash,
        Self::PeerId,
        Self::Event,
        Self::Left,
        Self::NumWant,
        Self::Offers,
        Self::Offer,
        Self::OfferId,
        Self::Answer,
        Self::ToPeerId,
    ];

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::InfoHash => "info_hash",
            Self::PeerId => "peer_id",
            Self::Event => "event",
            Self::Left => "left",
            Self::NumWant => "numwant",
            Self::Offers => "offers",
            Self::Offer => "offer",
            Self::OfferId => "offer_id",
            Self::Answer => "answer",
            Self::ToPeerId => "to_peer_id",
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The values of an object's fields as they came; of a repeated one the last, as in JavaScript.
#[derive(Clone, Copy, Default)]
struct Fields<'a>([Option<&'a str>; Field::ALL.len()]);

impl<'a> Fields<'a> {
    /// Its value, if it is there and not null.
    fn get(&self, field: Field) -> Option<&'a str> {
        self.0[field as usize].filter(|value| *value != "null")
    }

    fn required(&self, field: Field) -> Result<&'a str, Malformed> {
        self.get(field).ok_or(Malformed::Field(field, Fault::Missing))
    }

    fn bytes(&self, field: Field) -> Result<[u8; 20], Malformed> {
        twenty_bytes(self.required(field)?).map_err(|fault| Malformed::Field(field, fault))
    }

    fn relayed(&self, field: Field) -> Result<&'a str, Malformed> {
        let value = self.required(field)?;
        check_relayed(value).map_err(|fault| Malformed::Field(field, fault))?;
        Ok(value)
    }

    /// A count: `None` if it is absent or negative, and no more than can be had if it is larger.
    fn count(&self, field: Field) -> Result<Option<u64>, Malformed> {
        self.get(field).map_or(Ok(None), |value| count(value).map_err(|fault| Malformed::Field(field, fault)))
    }
}

/// Reads any JSON number. Fractions count as the next integer, so that only what is zero is zero.
fn count(token: &str) -> Result<Option<u64>, Fault> {
    if token.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Some(token.parse().unwrap_or(u64::MAX)));
    }
    if !token.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Err(Fault::NotANumber);
    }
    let number: f64 = token.parse().map_err(|_| Fault::NotANumber)?;
    #[expect(clippy::cast_sign_loss, reason = "it is not negative, and what is too large saturates")]
    Ok((number >= 0.0).then_some(number.ceil() as u64))
}

/// Fills [`Fields`] from an object, as far as it can be read.
struct Capture<'f, 'a>(&'f mut Fields<'a>);

impl<'de> DeserializeSeed<'de> for Capture<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Capture<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(Name)? {
            match field {
                Some(field) => self.0.0[field as usize] = Some(map.next_value::<&RawValue>()?.get()),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads the name of a field; `None` for one that means nothing here.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Field::of_name(name))
    }
}

/// What an array is made of.
trait Item<'de>: Sized {
    /// Reads the next one.
    fn next<A: SeqAccess<'de>>(items: &mut A) -> Result<Option<Self>, A::Error>;
}

/// Any value, as the text it is.
impl<'de> Item<'de> for &'de str {
    fn next<A: SeqAccess<'de>>(items: &mut A) -> Result<Option<Self>, A::Error> {
        Ok(items.next_element::<&RawValue>()?.map(RawValue::get))
    }
}

/// An object.
impl<'de> Item<'de> for Fields<'de> {
    fn next<A: SeqAccess<'de>>(items: &mut A) -> Result<Option<Self>, A::Error> {
        let mut fields = Self::default();
        Ok(items.next_element_seed(Capture(&mut fields))?.map(|()| fields))
    }
}

/// Calls a function with the first items of an array and their numbers, until it refuses one.
struct Items<'n, T, F> {
    most: usize,
    /// Which one is being read.
    number: &'n mut usize,
    each: F,
    kind: PhantomData<T>,
}

impl<'de, T: Item<'de>, F: FnMut(usize, T) -> Result<(), Malformed>> Visitor<'de> for Items<'_, T, F> {
    type Value = Result<(), Malformed>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut read = Ok(());
        while *self.number < self.most && read.is_ok() {
            let Some(item) = T::next(&mut items)? else { return Ok(read) };
            read = (self.each)(*self.number, item);
            *self.number += 1;
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(read)
    }
}

/// Reads the first items of an array, which is valid JSON.
fn items<'de, T: Item<'de>>(
    field: Field,
    token: &'de str,
    most: usize,
    each: impl FnMut(usize, T) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut number = 0;
    serde_json::Deserializer::from_str(token)
        .deserialize_seq(Items { most, number: &mut number, each, kind: PhantomData })
        // It is JSON, so nothing else can be wrong.
        .unwrap_or(Err(Malformed::Item(field, number, Fault::NotAnObject)))
}

/// Reads a message; `lists` is filled anew.
///
/// # Errors
/// If it is no request, with what its failure is to say.
pub fn read<'a>(text: &'a str, limits: &Limits, lists: &mut Lists) -> Result<Request<'a>, Refused> {
    lists.offers.clear();
    lists.hashes.clear();
    let mut fields = Fields::default();
    let read = capture(text, &mut fields).and_then(|()| request(text, &fields, limits, lists));
    read.map_err(|malformed| Refused {
        action: action(&fields).ok(),
        info_hash: fields.bytes(Field::InfoHash).ok().map(InfoHash),
        malformed,
    })
}

fn capture<'a>(text: &'a str, fields: &mut Fields<'a>) -> Result<(), Malformed> {
    let mut json = serde_json::Deserializer::from_str(text);
    let captured = Capture(fields).deserialize(&mut json).and_then(|()| json.end());
    captured.map_err(|error| if error.is_data() { Malformed::NotAnObject } else { Malformed::NotJson })
}

fn action(fields: &Fields<'_>) -> Result<Action, Malformed> {
    let word = fields.required(Field::Action)?;
    [Action::Announce, Action::Scrape]
        .into_iter()
        .find(|action| is_word(word, action.word()))
        .ok_or(Malformed::Field(Field::Action, Fault::Unknown))
}

fn request<'a>(
    text: &'a str,
    fields: &Fields<'a>,
    limits: &Limits,
    lists: &mut Lists,
) -> Result<Request<'a>, Malformed> {
    if action(fields)? == Action::Scrape {
        return scrape(fields, limits, lists);
    }
    let info_hash = InfoHash(fields.bytes(Field::InfoHash)?);
    let peer_id = PeerId(fields.bytes(Field::PeerId)?);
    if fields.get(Field::Answer).is_some() {
        let to_peer_id = PeerId(fields.bytes(Field::ToPeerId)?);
        let offer_id = OfferId(fields.bytes(Field::OfferId)?);
        let json = fields.relayed(Field::Answer)?;
        return Ok(Request::Answer(Answer { info_hash, peer_id, to_peer_id, offer_id, json }));
    }
    let event = event(fields);
    let left = fields.count(Field::Left)?.unwrap_or(u64::MAX);
    if event != Event::Stopped {
        let wanted = fields.count(Field::NumWant)?.unwrap_or(u64::MAX);
        let most = usize::try_from(wanted).unwrap_or(usize::MAX).min(limits.offers);
        if let Some(token) = fields.get(Field::Offers) {
            offers(text, token, most, &mut lists.offers)?;
        }
    }
    Ok(Request::Announce(Announce { info_hash, peer_id, event, left }))
}

/// Whatever is none of the known words is no event.
fn event(fields: &Fields<'_>) -> Event {
    const WORDS: [(&str, Event); 4] = [
        ("started", Event::Started),
        ("completed", Event::Completed),
        ("stopped", Event::Stopped),
        ("paused", Event::Paused),
    ];
    let known =
        fields.get(Field::Event).and_then(|token| WORDS.iter().find(|(word, _)| is_word(token, word)));
    known.map_or(Event::None, |(_, event)| *event)
}

fn offers(text: &str, token: &str, most: usize, offers: &mut Vec<Offer>) -> Result<(), Malformed> {
    if !token.starts_with('[') {
        return Err(Malformed::Field(Field::Offers, Fault::NotAnArray));
    }
    items(Field::Offers, token, most, |number, fields: Fields<'_>| {
        let inside = |malformed| match malformed {
            Malformed::Field(field, fault) => Malformed::ItemField(Field::Offers, number, field, fault),
            other => other,
        };
        let id = OfferId(fields.bytes(Field::OfferId).map_err(inside)?);
        let json = fields.relayed(Field::Offer).map_err(inside)?;
        // Both are slices of the same text.
        let start = json.as_ptr().addr() - text.as_ptr().addr();
        offers.push(Offer { id, json: start..start + json.len() });
        Ok(())
    })
}

fn scrape<'a>(fields: &Fields<'_>, limits: &Limits, lists: &mut Lists) -> Result<Request<'a>, Malformed> {
    let token = fields.required(Field::InfoHash)?;
    let hashes = &mut lists.hashes;
    if token.starts_with('"') {
        let hash = InfoHash(fields.bytes(Field::InfoHash)?);
        hashes.push(hash);
        return Ok(Request::Scrape(Some(hash)));
    }
    if !token.starts_with('[') {
        return Err(Malformed::Field(Field::InfoHash, Fault::NotHashes));
    }
    items(Field::InfoHash, token, limits.hashes, |number, item: &str| {
        let hash = twenty_bytes(item).map_err(|fault| Malformed::Item(Field::InfoHash, number, fault))?;
        hashes.push(InfoHash(hash));
        Ok(())
    })?;
    hashes.sort_unstable();
    hashes.dedup();
    Ok(Request::Scrape(None))
}
